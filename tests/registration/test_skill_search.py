"""What somebody who types a few letters is shown, and in which order."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registration.skill_search import Found, SkillSearch, words
from sojourn_contracts.taxonomy import Concept, Taxonomy, starter


def search(
    labels: Mapping[str, str],
    synonyms: Mapping[str, tuple[str, ...]] | None = None,
    occupations: tuple[Concept, ...] = (),
) -> SkillSearch:
    skills = {
        name: Concept(name, {"en": label}, {"en": (synonyms or {}).get(name, ())}) for name, label in labels.items()
    }
    return SkillSearch(Taxonomy("", "", "", ("en",), skills, {}, {one.id: one for one in occupations}))


def ids(found: list[Found]) -> list[str]:
    return [one.skill for one in found]


def best(where: SkillSearch, query: str, limit: int = 10) -> list[str]:
    return ids(where.best(query, limit, "en"))


def test_matches_come_by_rank_then_shorter_first_then_by_id():
    where = search(
        {
            "s1": "Old bread",
            "s2": "Bread ovens",
            "s3": "Bread",
            "s4": "Pastry",
            "s5": "Dough",
            "s6": "Breads",
            "s8": "Bread ovens",
            "s7": "Cheese",
            "s9": "Bakeries",
        },
        {"s5": ("knead old bread",), "s4": ("bread and cake",), "s9": ("bread",)},
    )
    assert best(where, "bread") == ["s3", "s6", "s2", "s8", "s9", "s4", "s1", "s5"]
    assert best(where, "bread", limit=3) == ["s3", "s6", "s2"]


def test_the_synonym_that_matched_is_told_but_not_beside_a_label_that_did():
    where = search({"s1": "Bake bread", "s2": "Loaves"}, {"s1": ("bread baking",), "s2": ("bread making", "bread")})
    assert where.best("brea", 10, "en") == [Found("s2", synonym="bread"), Found("s1", synonym="bread baking")]
    assert where.best("bake", 10, "en") == [Found("s1")]


def test_every_word_has_to_begin_a_word_in_any_order():
    where = search({"s1": "Sell fresh bread", "s2": "Sell bricks", "s3": "Bread"})
    assert best(where, "br se") == ["s2", "s1"]
    assert best(where, "bre sel") == ["s1"]
    assert best(where, "read") == []


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("cafe", "Café"),
        ("CAFÉ", "cafe"),
        ("strasse", "Straße"),
        ("lodz", "Łódź"),
        ("kobenhavn", "København"),
        ("αθηνα", "Αθήνα"),
        ("c++", "Program in C++"),
        ("e-mail", "Plan e-mail campaigns"),
    ],
)
def test_case_accents_and_signs_do_not_matter(query: str, label: str):
    assert best(search({"s1": label, "s2": "Other"}), query) == ["s1"]


def test_an_occupation_brings_its_essential_skills_after_what_matched_itself():
    baker = Concept("o1", {"en": "baker"}, {"en": ("bread maker",)}, essential=("s1", "s2"), optional=("s3",))
    where = search({"s1": "Knead", "s2": "Know flour", "s3": "Sell", "s4": "Wash bakeries"}, occupations=(baker,))
    assert where.best("bak", 10, "en") == [
        Found("s4"),
        Found("s1", occupation="baker"),
        Found("s2", occupation="baker"),
    ]
    assert best(where, "bread m", limit=1) == ["s1"]


def test_each_language_is_searched_for_itself():
    skills = {
        "s1": Concept("s1", {"en": "Bread", "de": "Brot"}, {"de": ("Laib",)}),
        "s2": Concept("s2", {"en": "Cake"}),
    }
    where = SkillSearch(Taxonomy("", "", "", ("en", "de"), skills, {}, {}))
    assert [ids(where.best(query, 10, "de")) for query in ("brot", "lai", "cake")] == [["s1"], ["s1"], ["s2"]]
    assert where.best("brot", 10, "en") == []


def test_what_begins_thousands_of_words_is_found_in_the_same_order_each_time():
    where = search({f"s{number:04}": f"Make bread {number:04}" for number in range(3_000, 0, -1)})
    for _ in range(2):
        assert best(where, "m", limit=2) == ["s0001", "s0002"]
        assert best(where, "b m 12", limit=2) == ["s1200", "s1201"]


STARTER = SkillSearch(starter())


@given(st.text(alphabet="abceginorst +é", max_size=6), st.integers(1, 12))
def test_what_is_found_is_what_looking_at_every_text_finds(query: str, limit: int):
    typed = words(query)
    matching = {
        skill.id
        for skill in starter().skills.values()
        for text in (skill.label(), *skill.synonyms.get("en", ()))
        if typed and all(any(word.startswith(one) for word in words(text)) for one in typed)
    }
    found = ids(STARTER.best(query, limit, "en"))
    assert len(found) == len(set(found)) == min(limit, len(matching))
    assert set(found) <= matching
    assert found == ids(STARTER.best(query, 200, "en"))[:limit]
