"""Compiles what is compiled when it is first called: seconds, where no cache of it is there yet."""

import ctypes
from datetime import date
from pathlib import Path
from uuid import UUID

import numpy as np
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import Level, Spoken, Window

from matching.domain import Home, OpenOffer, OpenPlacement, Parameters
from matching.index import Index

_DAY = date(2026, 1, 1)
_STAY = {
    "languages": (Spoken(language="en", level=Level.C1),),
    "window": Window(first=_DAY, last=date(2026, 12, 31)),
    "min_days": 14,
    "max_days": 30,
}


def compile_all() -> None:
    """Asks a market of two that fit for each other, by all ways: what comes first otherwise waits for the compiler.

    A transaction that waits so long is ended by PostgreSQL. Afterwards the compiler is not needed any more.
    """
    index = Index(Parameters(_DAY, {"skill": 1}), room=8)
    placement = Placement(
        placement_id=UUID(int=1),
        traveller_id=UUID(int=2),
        destinations=("PT",),
        skills_brought=(),
        skills_sought=("skill",),
        **_STAY,
    )
    offer = HostingOffer(offer_id=UUID(int=3), capacity=1, skills_taught=("skill",), skills_needed=(), **_STAY)
    index.update(OpenPlacement(placement, Home(UUID(int=4), "DK", "62")))
    index.update(OpenOffer(offer, Home(UUID(int=5), "PT", "62")))
    for end_id in (placement.placement_id, offer.offer_id):
        index.candidates(end_id, 1, _DAY)
        index.candidates_of_each([end_id], 1, _DAY)
    index.candidates(OpenPlacement(placement, Home(UUID(int=4), "DK", "62")), 1, _DAY)
    index.load(0, np.frombuffer(b"", np.uint8))
    index.remove(placement.placement_id)
    _give_back_the_compiler()


def _give_back_the_compiler() -> None:
    """Some sixty MiB of LLVM's code, on Linux: the system reads them from the file again, should anything call for them."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    dont_need = 4  # MADV_DONTNEED of <sys/mman.h>
    for line in maps.read_text().splitlines():
        addresses, rights, *rest = line.split()
        if rights == "r-xp" and "llvmlite" in rest[-1]:  # code alone: it is as it stands in the file
            start, end = (int(address, 16) for address in addresses.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), dont_need)
