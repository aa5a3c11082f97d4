"""The taxonomy over HTTP, for everybody: what a form may name, and a search for people who type a skill."""

from typing import Annotated, Any

from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.taxonomy import Kinship, Taxonomy

from registration.skill_search import search_in, words

MOST_FOUND = 100
"""Matches in one answer at most."""

routes = APIRouter()


async def _in_force(request: Request) -> Taxonomy:
    return request.app.state.settings.taxonomy


InForce = Annotated[Taxonomy, Depends(_in_force)]


async def _spoken(taxonomy: InForce, language: Annotated[str | None, Query(description="ISO 639-1")] = None) -> str:
    """The language asked for, or the taxonomy's first."""
    if language is not None and language not in taxonomy.languages:
        raise InvalidFields(
            [
                FieldError(
                    "query.language", "is not a language of the taxonomy", f"one of {', '.join(taxonomy.languages)}"
                )
            ]
        )
    return language or taxonomy.languages[0]


Spoken = Annotated[str, Depends(_spoken)]


class Skill(BaseModel):
    """``group`` is the nearest one above the skill; without a value where the skill is in none."""

    skill: str
    label: str
    group: str | None
    group_label: str | None


class FoundSkill(Skill):
    """With what led to it, where that was not its label."""

    synonym: str | None
    occupation: str | None


class SkillInFull(Skill):
    """With ids of the skills that it has to do with; matching counts the first three kinds as partly the same skill."""

    labels: dict[str, str]
    synonyms: list[str]
    broader: list[str]
    narrower: list[str]
    siblings: list[str]
    essential: list[str]
    """Skills that it builds on."""
    optional: list[str]
    """Skills that help with it."""


class TaxonomyView(BaseModel):
    title: str
    version: str
    attribution: str
    """To be shown with the skills, unless it is empty."""
    languages: list[str]
    skills: int
    groups: int
    occupations: int


@routes.get("/taxonomy")
async def describe(taxonomy: InForce) -> TaxonomyView:
    return TaxonomyView(
        title=taxonomy.title,
        version=taxonomy.version,
        attribution=taxonomy.attribution,
        languages=list(taxonomy.languages),
        skills=len(taxonomy.skills),
        groups=len(taxonomy.groups),
        occupations=len(taxonomy.occupations),
    )


@routes.get("/skills")
def skills(
    taxonomy: InForce,
    language: Spoken,
    q: Annotated[
        str | None, Query(max_length=100, description="the beginnings of words, as somebody types them")
    ] = None,
    limit: Annotated[int | None, Query(ge=1, le=MOST_FOUND, description="10 with q, all without it")] = None,
) -> list[FoundSkill] | list[Skill]:
    """All skills in the taxonomy's order; with ``q``, the best matches, best first, and what led to them."""
    # No coroutine, so in a thread: all of a large taxonomy take a fifth of a second, in which others want their answers.
    if q is None:
        return [Skill(**_said(taxonomy, skill, language)) for skill in list(taxonomy.skills)[:limit]]
    if not words(q):
        raise InvalidFields([FieldError("query.q", "has no word", "the beginning of a word or of several")])
    found = search_in(taxonomy).best(q, limit or 10, language)
    return [
        FoundSkill(**_said(taxonomy, one.skill, language), synonym=one.synonym, occupation=one.occupation)
        for one in found
    ]


@routes.get("/skills/{skill}")
async def skill(skill: str, taxonomy: InForce, language: Spoken) -> SkillInFull:
    """One skill with all its labels and relations."""
    concept = taxonomy.skills.get(skill)
    if concept is None:
        raise Unknown("unknown_skill", "The taxonomy in force has no such skill")
    related = taxonomy.related(skill)
    return SkillInFull(
        **_said(taxonomy, skill, language),
        labels=dict(concept.labels),
        synonyms=list(concept.synonyms.get(language, ())),
        broader=[other for other, kinship in related.items() if kinship is Kinship.BROADER],
        narrower=[other for other, kinship in related.items() if kinship is Kinship.NARROWER],
        siblings=[other for other, kinship in related.items() if kinship is Kinship.SIBLING],
        essential=list(concept.essential),
        optional=list(concept.optional),
    )


def _said(taxonomy: Taxonomy, skill: str, language: str) -> dict[str, Any]:
    group = taxonomy.group(skill)
    return {
        "skill": skill,
        "label": taxonomy.skills[skill].label(language),
        "group": group,
        "group_label": taxonomy.groups[group].label(language) if group else None,
    }
