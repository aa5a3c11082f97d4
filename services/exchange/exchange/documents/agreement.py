"""The learning agreement of one version, as it is printed. Pure but for the words, which are read from files once.

It is complete: whatever the hash covers stands in it. Names do not, since exchange has none: parties stand in it by their
ids, and there is room to add names by hand.
"""

from datetime import UTC
from uuid import UUID

from sojourn_contracts.match import MatchProposed
from sojourn_contracts.taxonomy import Taxonomy
from sojourn_contracts.vocabulary import Country, Party

from exchange.agreement import Agreement, Item, Signature, content_hash
from exchange.documents.rendering import Block, Code, Document, Heading, Paragraph, Points, Rows, Table
from exchange.documents.words import DocumentLanguage, Words, words

ROOM = "\n\u00a0\n\u00a0"
"""To write by hand in."""


def document(version: Agreement, match: MatchProposed, taxonomy: Taxonomy, language: DocumentLanguage) -> Document:
    """In one language; texts that the parties wrote stay as they wrote them."""
    say = words(language)
    title, terms = say["agreement.title"], version.terms
    hashed = content_hash(version)
    blocks: list[Block] = [
        Paragraph(say["agreement.purpose"]),
        Rows(
            (
                (say["agreement.exchange"], str(version.exchange_id)),
                (say["agreement.version"], str(version.version)),
                (say["agreement.drafted"], _drafted(version, say)),
            )
        ),
        Heading(say["agreement.parties"]),
        Rows(_parties(match, say)),
        Heading(say["agreement.stay"]),
        Points(
            tuple(
                say["amount.part"].format(
                    first_day=say.day(part.first_day), last_day=say.day(part.last_day), days=say.days(part.days)
                )
                for part in terms.parts
            )
        ),
        Rows(((say["agreement.total"], say.days(terms.days)),)),
        Heading(say["agreement.goals"]),
        Paragraph(terms.goals),
        Heading(say["agreement.training"]),
        Table(
            (3, 5, 1, 3),
            tuple(say[f"agreement.{name}"] for name in ("learner", "skills", "hours", "given_by")),
            tuple(_training(item, taxonomy, say) for item in terms.training),
        ),
        Heading(say["agreement.tasks"]),
        Points(terms.tasks),
        Heading(say["agreement.working_language"]),
        Paragraph(say.named_language(terms.working_language)),
        Heading(say["agreement.workplace"]),
        Paragraph(terms.workplace),
        Heading(say["agreement.supervision"]),
        Paragraph(terms.supervision),
        Heading(say["agreement.insurance"]),
        Paragraph(say["agreement.insurance_intro"]),
        Rows(
            tuple(
                (say[f"agreement.{name}"], say[f"party.{party}"])
                for name, party in (
                    ("health", terms.insurance.health),
                    ("accident", terms.insurance.accident),
                    ("liability", terms.insurance.liability),
                )
            )
        ),
        Heading(say["agreement.allowance"]),
        Paragraph(say["agreement.allowance_value"].format(amount=say.euros(version.allowance_cents))),
        Heading(say["agreement.validity"]),
        Paragraph(say["agreement.validity_value"]),
        Heading(say["agreement.signatures"]),
        Table(
            (3, 4, 3, 3),
            tuple(say[f"agreement.{name}"] for name in ("party", "signed", "name", "signature")),
            tuple((say[f"party.{party}"], _signed(version, party, say), ROOM, "") for party in Party),
        ),
        Paragraph(say["agreement.by_hand"]),
    ]
    if said := _contact_points(version, say):
        blocks += [Heading(say["agreement.contact_points"]), Rows(said)]
    blocks += [Heading(say["agreement.hash"]), Paragraph(say["agreement.hash_value"]), Code(hashed)]
    return Document(
        title,
        language,
        version.drafted_at.astimezone(UTC).date(),
        f"{title} · {hashed}",
        say["page.number"],
        tuple(blocks),
    )


def _drafted(version: Agreement, say: Words) -> str:
    day = say.day(version.drafted_at.astimezone(UTC).date())
    return say["agreement.drafted_value"].format(day=day, party=say[f"party.{version.drafted_by}"])


def _parties(match: MatchProposed, say: Words) -> tuple[tuple[str, str], ...]:
    def company(party: Party, company_id: UUID, country: Country) -> tuple[str, str]:
        where = say["country.of"].format(country=say.country(country))
        return say[f"party.{party}"], f"{company_id}\n{where}"

    return (
        company(Party.SENDER, match.sender_id, match.sender_country),
        company(Party.HOST, match.host_id, match.host_country),
        (say["party.traveller"], str(match.traveller_id)),
    )


def _training(item: Item, taxonomy: Taxonomy, say: Words) -> tuple[str, ...]:
    return (
        say[f"learner.{item.learner}"],
        ", ".join(skill_label(taxonomy, skill, say) for skill in item.skills),
        say.number(item.hours),
        say[f"given_by.{item.given_by}"],
    )


def skill_label(taxonomy: Taxonomy, skill: str, say: Words) -> str:
    """The bare id of a skill that the taxonomy in force no longer has."""
    concept = taxonomy.skills.get(skill)
    return concept.label(say.language) if concept else skill


def _signed(version: Agreement, party: Party, say: Words) -> str:
    signature = next((one for one in version.signatures if one.by is party), None)
    if signature is None:
        return say["agreement.not_signed"]
    return "\n".join(filter(None, (_when(signature, say), str(signature.person_id or ""))))


def _when(signature: Signature, say: Words) -> str:
    at = signature.signed_at.astimezone(UTC)
    return say["agreement.signed_value"].format(day=say.day(at.date()), time=say.time(at))


def _contact_points(version: Agreement, say: Words) -> tuple[tuple[str, str], ...]:
    said = [
        (
            say.country(review.country),
            say["agreement.approved" if review.approved else "agreement.sent_back"].format(
                day=say.day(review.reviewed_at.astimezone(UTC).date()), remarks=review.remarks
            ),
        )
        for review in version.reviews
    ]
    awaited = [(say.country(country), say["agreement.awaited"]) for country in version.awaits]
    return (*said, *awaited)
