"""Compiles what is compiled when it is first called: seconds, where no cache of it is there yet."""

from datetime import date
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

    A transaction that waits so long is ended by PostgreSQL.
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
    index.load(0, np.frombuffer(b"", np.uint8))
    index.remove(placement.placement_id)
