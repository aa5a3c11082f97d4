"""The certificate of participation as it is printed."""

from sojourn_contracts.taxonomy import Taxonomy

from exchange.documents.agreement import skill_label
from exchange.documents.rendering import Code, Document, Heading, Paragraph, Points, Rows
from exchange.documents.store import in_groups
from exchange.documents.words import DocumentLanguage, words
from exchange.state import Exchange, day_of


def document(
    exchange: Exchange, code: str, verified_at: str | None, taxonomy: Taxonomy, language: DocumentLanguage
) -> Document:
    """Of an exchange that was completed, with the code under which it is verified (``verified_at`` that URL, if it is known)."""
    say, match = words(language), exchange.match
    title, issued = say["certificate.title"], day_of(exchange.changed_at)
    how = say["certificate.code_value"].format(url=verified_at) if verified_at else say["certificate.code_without_url"]
    return Document(
        title=title,
        language=language,
        day=issued,
        footer=f"{title} · {in_groups(code)}",
        page_number=say["page.number"],
        blocks=(
            Paragraph(say["certificate.statement"]),
            Rows(
                (
                    (say["certificate.name"], "_" * 44),
                    (say["certificate.traveller"], str(match.traveller_id)),
                    (say["certificate.sent_from"], say.country(match.sender_country)),
                    (say["certificate.hosted_in"], say.country(match.host_country)),
                    (say["certificate.from"], say.day(exchange.drafted.terms.first_day)),
                    (say["certificate.until"], say.day(exchange.last_day)),
                    (say["certificate.days"], say.days(exchange.counted_days)),
                    (say["certificate.hours"], say.hours(exchange.stay.training_hours)),
                )
            ),
            Heading(say["certificate.skills"]),
            Points(tuple(skill_label(taxonomy, skill, say) for skill in exchange.training.skills)),
            Rows(((say["certificate.issued"], say.day(issued)),)),
            Heading(say["certificate.code"]),
            Code(in_groups(code)),
            Paragraph(how),
        ),
    )
