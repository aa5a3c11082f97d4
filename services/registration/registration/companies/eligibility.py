"""Who may take part: a set of rules with a version, each with its source; what they say of a company, and why.

Pure. What needs an answer from outside, the register of VAT numbers, is handed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from sojourn_contracts.vocabulary import SizeClass

from registration import programme

VERSION = 2
"""Of the rules below: whoever changes what one of them says raises it. Since 2, what public bodies hold counts."""

CLASSES = (SizeClass.MICRO, SizeClass.SMALL, SizeClass.MEDIUM, SizeClass.LARGE)
CEILINGS = {
    SizeClass.MICRO: (10, 2_000_000, 2_000_000),
    SizeClass.SMALL: (50, 10_000_000, 10_000_000),
    SizeClass.MEDIUM: (250, 50_000_000, 43_000_000),
}
"""Staff must be below the first; turnover, or else the balance sheet, at most the second and the third, in EUR.

Recommendation 2003/361/EC, annex, article 2.
"""

AUTHORITY_BUDGET, AUTHORITY_INHABITANTS = 10_000_000, 5_000
"""EUR a year, and people: below both, a local authority is a small one. Article 3, paragraph 2, second subparagraph, letter d."""


class Relation(StrEnum):
    """How an enterprise is tied to the company; Recommendation 2003/361/EC, annex, article 3."""

    PARTNER = "partner"
    """It holds, or is held by, 25 to 50% of capital or voting rights, whichever is more."""
    LINKED = "linked"
    """One controls the other: more than half of the voting rights, or a dominant influence."""


class Vies(StrEnum):
    """What the Union's VAT Information Exchange System says about a number."""

    VALID = "valid"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    """It was asked for as long as the programme waits, and never gave an answer that means something."""
    NOT_ASKED = "not_asked"
    """The programme is set up without it."""


@dataclass(frozen=True)
class Accounts:
    """One closed accounting period of twelve months."""

    headcount: float
    """Annual work units; part of a year or of a week counts in part."""
    turnover: int
    """EUR, without VAT."""
    balance_sheet: int
    """EUR, the total."""


@dataclass(frozen=True)
class Related:
    """A partner or linked enterprise, with its accounts of the company's periods."""

    relation: Relation
    share: float
    """Percent of capital or voting rights, whichever is more."""
    accounts: tuple[Accounts, ...]


class PublicBody(StrEnum):
    """What kind of public body holds a part of the company.

    All but the last may hold up to half of it: Recommendation 2003/361/EC, annex, article 3, paragraph 2, second subparagraph.
    """

    INVESTMENT_CORPORATION = "public_investment_corporation"
    """Letter a."""
    UNIVERSITY = "university_or_research_centre"
    """Letter b: a research centre without profit."""
    INSTITUTIONAL_INVESTOR = "institutional_investor"
    """Letter c: regional development funds as well."""
    LOCAL_AUTHORITY = "local_authority"
    """Letter d: an autonomous one, if it is small enough."""
    OTHER = "other"


@dataclass(frozen=True)
class PublicHolder:
    """A public body that controls a part of the company's capital or voting rights, directly or indirectly."""

    body: PublicBody
    share: float
    """Percent of capital or voting rights, whichever is more."""
    linked: bool = False
    """It controls the company though its share is no majority: by a contract, a dominant influence, or together with others."""
    budget: int | None = None
    """EUR a year, and"""
    inhabitants: int | None = None
    """both of a local authority: one that does not say them is not taken for a small one."""

    @property
    def excepted(self) -> bool:
        """Of a kind that may hold up to half. Source: Recommendation 2003/361/EC, annex, article 3, paragraph 2."""
        if self.body is not PublicBody.LOCAL_AUTHORITY:
            return self.body is not PublicBody.OTHER
        if self.budget is None or self.inhabitants is None:
            return False
        return self.budget < AUTHORITY_BUDGET and self.inhabitants < AUTHORITY_INHABITANTS


@dataclass(frozen=True)
class Enterprise:
    """What a company declares about itself so that it can be decided whether it may take part."""

    claimed: SizeClass
    """The size class that it had before the periods of ``accounts``; it matters only if these differ."""
    accounts: tuple[Accounts, ...]
    """The last closed period first, then the one before; one alone for a company in its first year."""
    related: tuple[Related, ...]
    vat: str | None
    """As python-stdnum writes it, in the Union with the country's prefix."""
    learning_only: bool
    """The declaration that a stay is for learning, and fills no gap in the host's staff."""
    public_holders: tuple[PublicHolder, ...] = ()
    """Public bodies are here, and not among ``related``."""


@dataclass(frozen=True)
class Facts:
    """All that the rules look at: while these stay the same, what was decided stands."""

    country: str
    enterprise: Enterprise
    sends: bool
    """It has placements, of whatever state."""


class Rule(StrEnum):
    COUNTRY = "country_in_the_programme"
    SENDER = "a_large_company_only_hosts"
    NUMBER = "vat_number_well_formed"
    REGISTER = "vat_number_registered"
    ALONE = "one_person_has_a_vat_number"
    LEARNING = "learning_only_declared"


class Outcome(StrEnum):
    CLEAR = "clear"
    UNCLEAR = "unclear"
    """For a human to decide."""
    WAITING = "waiting"
    """For the answer of the register."""


@dataclass(frozen=True)
class Finding:
    """What one rule says, with a reason as a code: ``micro``, ``no_number``."""

    rule: Rule
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Judgement:
    """What all rules say; all clear is the only case that needs nobody."""

    version: int
    findings: tuple[Finding, ...]

    @property
    def clear(self) -> bool:
        return all(finding.outcome is Outcome.CLEAR for finding in self.findings)

    @property
    def waiting(self) -> bool:
        return any(finding.outcome is Outcome.WAITING for finding in self.findings)

    @property
    def unclear(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome is Outcome.UNCLEAR)


def size_class(enterprise: Enterprise) -> SizeClass:
    """The class by headcount, turnover and balance sheet of the last two periods, the related enterprises' included.

    Ceilings crossed in one period alone change nothing; the class moves as far from the claimed one as both periods agree.
    In a first year, its figures alone decide. Whom public bodies control is large at any size, since that is what no SME is.

    Source: Recommendation 2003/361/EC, annex, article 4, paragraphs 2 and 3; article 3, paragraph 4.
    """
    if is_public(enterprise):
        return SizeClass.LARGE
    ranks = [CLASSES.index(class_of(total(enterprise, period))) for period in range(len(enterprise.accounts))]
    if len(ranks) == 1:
        return CLASSES[ranks[0]]
    held = CLASSES.index(enterprise.claimed)
    if not ranks:
        return enterprise.claimed
    return CLASSES[min(max(held, min(ranks)), max(ranks))]


def is_public(enterprise: Enterprise) -> bool:
    """Public bodies hold a quarter or more, together or alone, so that the company "cannot be considered an SME".

    Those that are excepted do not count, unless they are linked to the company, by more than half together, or otherwise.

    Source: Recommendation 2003/361/EC, annex, article 3, paragraphs 4 and 2.
    """
    excepted = [each for each in enterprise.public_holders if each.excepted]
    controlling = _held(excepted) > 50 or any(each.linked for each in excepted)
    counted = [each for each in enterprise.public_holders if controlling or not each.excepted]
    return _held(counted) >= 25


def _held(holders: Sequence[PublicHolder]) -> Fraction:
    """Percent; exact, as the ceilings are."""
    return sum((Fraction(str(each.share)) for each in holders), Fraction())


def class_of(period: "Totals") -> SizeClass:
    """The class by one period's totals. Source: Recommendation 2003/361/EC, annex, article 2."""
    for each, (staff, turnover, balance_sheet) in CEILINGS.items():
        if period.headcount < staff and (period.turnover <= turnover or period.balance_sheet <= balance_sheet):
            return each
    return SizeClass.LARGE


@dataclass(frozen=True)
class Totals:
    """A period's figures of a company and of what is tied to it; exact, since a ceiling may be met exactly."""

    headcount: Fraction
    turnover: Fraction
    balance_sheet: Fraction


def total(enterprise: Enterprise, period: int) -> Totals:
    """The company's own figures, its partners' in proportion to their share, and those of linked enterprises in full.

    Source: Recommendation 2003/361/EC, annex, article 6.
    """
    parts = [(Fraction(1), enterprise.accounts[period])]
    for related in enterprise.related:
        counted = Fraction(1) if related.relation is Relation.LINKED else Fraction(str(related.share)) / 100
        parts += [(counted, accounts) for accounts in related.accounts[period : period + 1]]
    return Totals(
        sum((share * Fraction(str(accounts.headcount)) for share, accounts in parts), Fraction()),
        sum((share * accounts.turnover for share, accounts in parts), Fraction()),
        sum((share * accounts.balance_sheet for share, accounts in parts), Fraction()),
    )


def asked_of_vies(facts: Facts) -> str | None:
    """The number that the register is asked about: only the Union's countries are in it."""
    number = facts.enterprise.vat
    return number if number is not None and programme.is_in_vies(facts.country) else None


def judge(facts: Facts, vies: Vies | None) -> Judgement:
    """``vies`` is what the register said about the number of ``asked_of_vies``; None as long as it said nothing."""
    return Judgement(VERSION, tuple(rule(facts, vies) for rule in RULES))


def _country(facts: Facts, _: Vies | None) -> Finding:
    """The company sits in a country of the programme. Source: the programme's list, ``programme.COUNTRIES``."""
    known = facts.country in programme.COUNTRIES
    return Finding(Rule.COUNTRY, _clear_if(known), "known" if known else "not_in_the_programme")


def _sender(facts: Facts, _: Vies | None) -> Finding:
    """A company that sends is an SME; a large one may only host. Source: MobiliseSME's rules for sending companies.

    One that public bodies control is no SME, of whatever size: the reason says so, and a human looks at who they are.
    Where the two periods disagree about just that, the class that the company says it had before decides, and so a
    human looks at it.
    """
    found = size_class(facts.enterprise)
    periods = {
        class_of(total(facts.enterprise, period)) is SizeClass.LARGE for period in range(len(facts.enterprise.accounts))
    }
    if not facts.sends:
        return Finding(Rule.SENDER, Outcome.CLEAR, "only_hosts")
    if is_public(facts.enterprise):
        return Finding(Rule.SENDER, Outcome.UNCLEAR, "public_bodies")
    if len(periods) > 1:
        return Finding(Rule.SENDER, Outcome.UNCLEAR, "borderline")
    return Finding(Rule.SENDER, _clear_if(found is not SizeClass.LARGE), found.value)


def _number(facts: Facts, _: Vies | None) -> Finding:
    """The number has its country's form and check digits. Source: python-stdnum, a module per country."""
    number = facts.enterprise.vat
    if number is None:
        return Finding(Rule.NUMBER, Outcome.CLEAR, "no_number")
    sound = programme.vat_number(facts.country, number) == number
    return Finding(Rule.NUMBER, _clear_if(sound), "well_formed" if sound else "malformed")


def _register(facts: Facts, vies: Vies | None) -> Finding:
    """The Union's register knows the number. Source: Regulation (EU) No 904/2010, article 31, by way of VIES.

    That the register cannot be asked says nothing about the company: a human decides, it is never a refusal.
    """
    if asked_of_vies(facts) is None:
        return Finding(Rule.REGISTER, Outcome.CLEAR, "nothing_to_ask")
    if vies is None:
        return Finding(Rule.REGISTER, Outcome.WAITING, "being_asked")
    return Finding(Rule.REGISTER, _clear_if(vies in (Vies.VALID, Vies.NOT_ASKED)), vies.value)


def _alone(facts: Facts, _: Vies | None) -> Finding:
    """A firm of one person shows by a VAT number that it is one. Source: MobiliseSME's rules for one-person firms."""
    alone = any(accounts.headcount <= 1 for accounts in facts.enterprise.accounts[:1])
    if not alone:
        return Finding(Rule.ALONE, Outcome.CLEAR, "several_people")
    has_one = facts.enterprise.vat is not None
    return Finding(Rule.ALONE, _clear_if(has_one), "has_one" if has_one else "no_number")


def _learning(facts: Facts, _: Vies | None) -> Finding:
    """Stays are for learning: "no posting or filling-out manpower gap". Source: MobiliseSME's rules."""
    declared = facts.enterprise.learning_only
    return Finding(Rule.LEARNING, _clear_if(declared), "declared" if declared else "not_declared")


def _clear_if(holds: bool) -> Outcome:
    return Outcome.CLEAR if holds else Outcome.UNCLEAR


RULES: Sequence[Callable[[Facts, Vies | None], Finding]] = (_country, _sender, _number, _register, _alone, _learning)
