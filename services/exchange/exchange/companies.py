"""What exchange has to know of a company: whether it is still there, and which placements and offers it no longer has.

Pure, and commutative: whatever order a company's events come in, and however often, the same is known after them.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.match import MatchProposed

Profile = CompanyRegistered | CompanyUpdated


@dataclass(frozen=True)
class Company:
    """A company as heard of so far; blank before the first word of it."""

    id: UUID
    profile: Profile | None = None
    """Its latest whole state; nothing is kept of a company that is gone."""
    dropped: frozenset[UUID] = frozenset()
    """Placements and offers that some state had and the latest has not.

    An id that no state had yet is not among them: its proposal may only have come before the update that brings it.
    """
    gone: bool = False
    """It left, was excluded or was erased, for good."""

    def still_has(self, match: MatchProposed) -> bool:
        """False once it is known that the company, or its end of the match, went."""
        return not self.gone and self.dropped.isdisjoint((match.placement_id, match.offer_id))


def heard(company: Company, profile: Profile) -> Company:
    """Takes in a whole state: the highest revision counts, an earlier one only tells what there was before."""
    if company.gone:
        return company
    before = company.profile
    latest = profile if before is None or profile.revision > before.revision else before
    ever = company.dropped | _ends(profile) | (_ends(before) if before else frozenset[UUID]())
    return replace(company, profile=latest, dropped=ever - _ends(latest))


def left(company: Company) -> Company:
    """Keeps the bare id and that it is gone."""
    return Company(company.id, gone=True)


def _ends(profile: Profile) -> frozenset[UUID]:
    placements = (placement.placement_id for placement in profile.placements)
    return frozenset((*placements, *(offer.offer_id for offer in profile.offers)))
