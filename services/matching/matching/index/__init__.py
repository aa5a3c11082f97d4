"""The open ends of the market in memory, searched for who fits whom best."""

from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from matching.domain import OpenOffer, OpenPlacement, Parameters, score


@dataclass(frozen=True)
class Candidate:
    """An end on the other side that fits, and how well."""

    id: UUID
    score: int


class Index:
    """Every placement and offer as last told, the hard constraints and the score exactly as ``domain`` has them."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._placements: dict[UUID, OpenPlacement] = {}
        self._offers: dict[UUID, OpenOffer] = {}

    def __len__(self) -> int:
        return len(self._placements) + len(self._offers)

    def update(self, end: OpenPlacement | OpenOffer) -> None:
        """Adds an end, or replaces what was known under its id."""
        if isinstance(end, OpenPlacement):
            self._placements[end.terms.placement_id] = end
        else:
            self._offers[end.terms.offer_id] = end

    def remove(self, id: UUID) -> None:  # noqa: A002
        """Forgets an end; it is no error if there is none."""
        self._placements.pop(id, None)
        self._offers.pop(id, None)

    def candidates(self, end: OpenPlacement | OpenOffer | UUID, k: int, today: date) -> list[Candidate]:
        """The ``k`` that fit an end best, best first, ties by id; none for an id that is not known."""
        if isinstance(end, UUID):
            known = self._placements.get(end) or self._offers.get(end)
            return [] if known is None else self.candidates(known, k, today)
        parameters = replace(self._parameters, today=today)
        if isinstance(end, OpenPlacement):
            scores = {id_: score(end, offer, parameters) for id_, offer in self._offers.items()}
        else:
            scores = {id_: score(placement, end, parameters) for id_, placement in self._placements.items()}
        found = [Candidate(id_, fit.value) for id_, fit in scores.items() if fit]
        return sorted(found, key=lambda candidate: (-candidate.score, candidate.id))[:k]
