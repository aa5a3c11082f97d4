"""Makes the mail: subject, text and HTML, in the language of who reads it.

What is said stands in one file per language, how a mail looks in two layouts; here is only what fills both in. Parameters
are ids, codes, days and numbers: words are made of them here.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.lists import format_list
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context, select_autoescape
from jinja2.runtime import Context
from sojourn_contracts.taxonomy import Taxonomy

from registration.notices.domain import FOR_CONTACT_POINTS
from registration.people.domain import Reads

TEMPLATES = Path(__file__).parent / "templates"

PLACES: Mapping[str, str] = {
    "admitted": "company",
    "needs_changes": "company",
    "rejected": "company",
    "still_interested": "company",
    "match_proposed": "exchanges/{exchange_id}",
    "accepted_by_other": "exchanges/{exchange_id}",
    "agreement_to_sign": "exchanges/{exchange_id}/agreement",
    "agreement_signed": "exchanges/{exchange_id}/agreement",
    "reminder": "exchanges/{exchange_id}",
    "checklist_reminder": "exchanges/{exchange_id}/checklist",
    "stay_ahead": "exchanges/{exchange_id}",
    "does_it_fit": "exchanges/{exchange_id}",
    "does_not_fit": "alerts",
    "validation_waits": "exchanges/{exchange_id}/agreement",
    "agreement_approved": "exchanges/{exchange_id}/agreement",
    "agreement_sent_back": "exchanges/{exchange_id}/agreement",
    "stay_called_off": "exchanges",
    "review_waits": "reviews",
    "survey_open": "invitations/{invitation_id}",
    "survey_open_later": "invitations/{invitation_id}",
    "survey_reminder": "invitations/{invitation_id}",
}
"""Where the link of a template leads, below the front end's URL. Those that are not here carry a secret: ``people.links``."""

_NUMBERED = re.compile(r"(.+)_([0-9]+)")
_LISTS = ("learns", "gains")


@dataclass(frozen=True)
class Rendered:
    """A mail's texts."""

    subject: str
    text: str
    html: str


def place(template: str, parameters: Mapping[str, str], programme_url: str) -> str:
    """The URL that a mail leads to."""
    return f"{programme_url.rstrip('/')}/{PLACES[template].format_map(parameters)}"


def render(
    template: str, parameters: Mapping[str, str], name: str, reads: Reads, url: str, taxonomy: Taxonomy
) -> Rendered:
    """A notice in the reader's words.

    Raises:
        jinja2.UndefinedError, TypeError: a parameter is missing.
    """
    environment = _environment(reads)
    texts = _texts(reads)
    frame = texts["frame"] | (texts["contact_point"] if template in FOR_CONTACT_POINTS else {})
    context = {**_parameters(parameters), "name": name, "taxonomy": taxonomy}

    def said(text: str) -> str:
        return _compiled(environment, text).render(context)

    def all_said(paragraphs: Sequence[str]) -> list[str]:
        return [paragraph for each in paragraphs if (paragraph := said(each))]

    mail = {
        "language": reads.value,
        "subject": said(texts[template]["subject"]),
        "body": all_said(texts[template]["body"]),
        "link": {"label": said(texts[template]["link"]), "url": url},
        "after": all_said(texts[template]["after"]),
        **{part: said(text) for part, text in frame.items()},
    }
    text, html = (environment.get_template(layout).render(mail) for layout in ("mail.txt", "mail.html"))
    return Rendered(mail["subject"], text.strip() + "\n", html)


@cache
def _texts(reads: Reads) -> dict[str, dict[str, Any]]:
    return tomllib.loads((TEMPLATES / f"{reads}.toml").read_text())


@cache
def _compiled(environment: Environment, text: str) -> Template:
    return environment.from_string(text)


@cache
def _environment(reads: Reads) -> Environment:
    """Layouts and words of one language. Texts are made without escaping; the HTML layout escapes what it takes in."""
    locale = Locale.parse("en_GB" if reads is Reads.EN else reads.value)

    def day(iso: str) -> str:
        said = format_date(date.fromisoformat(iso), "long", locale)
        return re.sub(r"^1 ", "1er ", said) if reads is Reads.FR else said

    def moment(iso: str) -> str:
        instant = datetime.fromisoformat(iso).astimezone(UTC)
        return f"{day(instant.date().isoformat())}, {instant:%H:%M} UTC"

    @pass_context
    def skills(context: Context, ids: Sequence[str]) -> str:
        """By their labels; an id of a taxonomy that is no longer in force says itself."""
        known = context["taxonomy"].skills
        return format_list([known[id_].label(reads) if id_ in known else id_ for id_ in ids], locale=locale)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"], default_for_string=False),
        trim_blocks=True,
    )
    environment.filters |= {
        "day": day,
        "moment": moment,
        "skills": skills,
        "country": lambda code: locale.territories.get(code, code),
        "language": lambda code: locale.languages.get(code, code),
    }
    return environment


def _parameters(parameters: Mapping[str, str]) -> dict[str, Any]:
    """With what is numbered as lists, in the order of the numbers."""
    lists: defaultdict[str, dict[int, str]] = defaultdict(dict[int, str])
    for name, value in parameters.items():
        if match := _NUMBERED.fullmatch(name):
            lists[match[1]][int(match[2])] = value
    gathered = {name: [entries[number] for number in sorted(entries)] for name, entries in lists.items()}
    return {**{name: [] for name in _LISTS}, **gathered, **parameters}
