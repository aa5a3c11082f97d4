"""A stand-in for VIES, the Union's register of VAT numbers: it answers on loopback as the real one does, and asks nobody.

What it answers depends on the number and on the programme's clock alone: that a number is valid, that it is not, or, of a number
that is first asked about while the register is away, ``MS_UNAVAILABLE`` so many times before anything else. It is not away
until an instant of the clock, for that stands still while a service asks again.
"""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from laptop.ports import HOST

TIMES_AWAY = 2
"""Answers that a number's first look costs: registration asks twice in one."""

_REGISTER, _ANSWERS = "vies.json", "vies-answers.jsonl"


@dataclass(frozen=True)
class Register:
    """What the stand-in knows."""

    invalid: frozenset[str] = frozenset()
    """Numbers, with their country's prefix; all others are valid."""
    away: tuple[datetime, datetime] | None = None
    """Programme time from which, and before which, it is away."""

    def answer(self, number: str, at: datetime, refused: int) -> str:
        """``VALID``, ``INVALID`` or ``MS_UNAVAILABLE``, to a number that was refused so many times before."""
        if self.away and self.away[0] <= at < self.away[1] and refused < TIMES_AWAY:
            return "MS_UNAVAILABLE"
        return "INVALID" if number in self.invalid else "VALID"

    def write(self, folder: Path) -> None:
        away = [at.isoformat() for at in self.away] if self.away else None
        (folder / _REGISTER).write_text(json.dumps({"invalid": sorted(self.invalid), "away": away}))

    @classmethod
    def read(cls, folder: Path) -> "Register":
        said = json.loads((folder / _REGISTER).read_text())
        if said["away"] is None:
            return cls(frozenset(said["invalid"]))
        first, last = map(datetime.fromisoformat, said["away"])
        return cls(frozenset(said["invalid"]), (first, last))


def answered(folder: Path) -> Mapping[str, list[str]]:
    """Number to what was answered about it, in order; ``folder`` is that of the run."""
    found: dict[str, list[str]] = {}
    file = folder / _ANSWERS
    for line in file.read_text().splitlines() if file.exists() else ():
        number, answer = json.loads(line)
        found.setdefault(number, []).append(answer)
    return found


class StandIn:
    """The server's side of ``/ms/{country}/vat/{number}``; each answer is kept before it is given."""

    def __init__(self, folder: Path, clock: Path) -> None:
        self._register = Register.read(folder)
        self._clock = clock
        self._refused: Counter[str] = Counter()
        self._kept = (folder / _ANSWERS).open("a", buffering=1, encoding="utf-8")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            writer.write(self._answer(path))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # who asked has gone
        finally:
            writer.close()

    def close(self) -> None:
        self._kept.close()

    def _answer(self, path: str) -> bytes:
        match path.strip("/").split("/")[-4:]:
            case ["ms", country, "vat", local]:
                pass
            case _:
                return _http("404 Not Found", {})
        number = country + local
        answer = self._register.answer(
            number, datetime.fromisoformat(self._clock.read_text().strip()), self._refused[number]
        )
        self._refused[number] += answer == "MS_UNAVAILABLE"
        self._kept.write(json.dumps([number, answer]) + "\n")
        return _http("200 OK", {"isValid": answer == "VALID", "userError": answer, "vatNumber": local})


async def stand_in(folder: Path, clock: Path, port: int) -> None:
    """Answers until it is told to stop."""
    standing_in = StandIn(folder, clock)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listening = await asyncio.start_server(standing_in.serve, HOST, port)
    await stopped.wait()
    listening.close()
    standing_in.close()


def _http(status: str, content: Mapping[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + body
