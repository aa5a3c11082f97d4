"""Which of our languages a reader gets."""

from typing import Annotated, Literal, get_args

from fastapi import Depends, Header, Query

Language = Literal["en", "it", "de", "fr"]
OTHERWISE: Language = "en"
_LANGUAGES: tuple[Language, ...] = get_args(Language)


def preferred(accept_language: str) -> Language:
    """The language that a header ``Accept-Language`` (RFC 9110, 12.5.4) ranks highest among ours; English if none."""
    ranked: list[tuple[float, int, Language]] = [
        (-_quality(weight), place, language)
        for place, (tag, _, weight) in enumerate(entry.partition(";") for entry in accept_language.split(","))
        for language in _LANGUAGES
        if tag.strip().lower().split("-")[0] == language and _quality(weight) > 0
    ]
    return min(ranked)[2] if ranked else OTHERWISE


def _quality(weight: str) -> float:
    name, _, value = weight.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _asked_for(
    language: Annotated[Language | None, Query(description="in place of Accept-Language")] = None,
    accept_language: Annotated[str, Header(max_length=1_000)] = "",
) -> Language:
    return language or preferred(accept_language)


Reads = Annotated[Language, Depends(_asked_for)]
"""The language in which a request wants its texts."""
