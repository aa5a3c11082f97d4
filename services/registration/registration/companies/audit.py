"""Every decision about a company, as a chain: each row's hash covers the one before, so what was altered afterwards is found.

Pure. A row says in codes and opaque ids what was decided, by whom and why; of what a human wrote, it has a digest only, so that
the text itself can be erased and the chain still holds.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from registration.companies.domain import Command, Status, Who
from registration.companies.eligibility import Judgement


@dataclass(frozen=True)
class Remark:
    """What a contact point wants changed in one field of the form."""

    path: str
    remark: str


@dataclass(frozen=True)
class Words:
    """What a human wrote to a decision; nothing of it leaves registration."""

    reason: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Told:
    """What a human wrote, and to which decision."""

    command: Command
    words: Words


@dataclass(frozen=True)
class Decided:
    """One decision, before it is in the chain."""

    company_id: UUID
    at: datetime
    """Programme time."""
    command: Command
    who: Who
    decider: str | None
    """The caller's subject, opaque; None for the programme itself."""
    revision: int
    """Of the company, decided upon."""
    before: Status
    after: Status
    judgement: Judgement | None = None


@dataclass(frozen=True)
class Entry:
    """A row: ``content`` is canonical JSON."""

    company_id: UUID
    number: int
    """From 1 on, without holes."""
    content: str
    hash: str
    """SHA-256 over the previous row's hash and the content, hexadecimal."""


@dataclass(frozen=True)
class Head:
    """The end of a company's chain, kept beside it: so a row that is missing at the end is found as well."""

    number: int = 0
    hash: str = ""


@dataclass(frozen=True)
class Kept:
    """A text with the salt without which its digest would tell it to who guesses it."""

    salt: str
    words: Words


@dataclass(frozen=True)
class Chain:
    """All that is kept of the decisions about one company."""

    company_id: UUID
    entries: Sequence[Entry]
    head: Head
    words: dict[int, Kept]
    """By the number of the decision; those that were erased are missing."""


@dataclass(frozen=True)
class Broken:
    """The first row of a chain that is not what was once written."""

    company_id: UUID
    number: int
    what: str


def entry(head: Head, decided: Decided, kept: Kept | None) -> Entry:
    """The row that follows the end of the chain."""
    content = canonical(_content(head.number + 1, decided, kept))
    return Entry(decided.company_id, head.number + 1, content, _hash(decided.company_id, head.hash, content))


def first_broken(chain: Chain) -> Broken | None:
    """None if every row is as it was written."""
    before = Head()
    for found in chain.entries:
        if found.number != before.number + 1:
            return Broken(chain.company_id, before.number + 1, "is missing")
        if found.hash != _hash(chain.company_id, before.hash, found.content):
            return Broken(chain.company_id, found.number, "was altered")
        kept = chain.words.get(found.number)
        if kept is not None and json.loads(found.content)["words"] != digest(kept):
            return Broken(chain.company_id, found.number, "has another text than was written")
        before = Head(found.number, found.hash)
    if before.number < chain.head.number:
        return Broken(chain.company_id, before.number + 1, "is missing")
    if before != chain.head:
        return Broken(chain.company_id, max(1, before.number), "is not what the company's row names as the last")
    return None


def canonical(content: dict[str, Any]) -> str:
    """One text for equal contents: sorted names, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(kept: Kept) -> str:
    """Of a text, under its salt; hexadecimal."""
    said = {"reason": kept.words.reason, "remarks": [[each.path, each.remark] for each in kept.words.remarks]}
    return hmac.digest(kept.salt.encode(), canonical(said).encode(), "sha256").hex()


def _content(number: int, decided: Decided, kept: Kept | None) -> dict[str, Any]:
    judgement = decided.judgement
    return {
        "company_id": str(decided.company_id),
        "number": number,
        "at": decided.at.astimezone(UTC).isoformat(),
        "command": decided.command.value,
        "who": decided.who.value,
        "decider": decided.decider,
        "revision": decided.revision,
        "before": decided.before.value,
        "after": decided.after.value,
        "rules": judgement.version if judgement else None,
        "findings": [
            {"rule": each.rule.value, "outcome": each.outcome.value, "reason": each.reason}
            for each in (judgement.findings if judgement else ())
        ],
        "words": digest(kept) if kept else None,
    }


def _hash(company_id: UUID, before: str, content: str) -> str:
    """The first row follows the company's id, so that no chain can be taken for another company's."""
    return hashlib.sha256(f"{before or company_id}\n{content}".encode()).hexdigest()
