"""The lists that the programme goes by."""

import pytest
from pydantic import TypeAdapter
from registration import programme
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import Country, Language, Region, Sector, Skill


def test_the_programme_has_the_union_the_economic_area_and_its_neighbours():
    assert len(programme.COUNTRIES) == 38
    assert {"DE", "GR", "IS", "LI", "NO", "CH", "GB", "TR"} <= set(programme.COUNTRIES)
    assert programme.COUNTRIES["GR"] == "Greece"


def test_greece_and_the_united_kingdom_have_regions_as_nuts_writes_them():
    assert programme.regions("GR") == ("EL", "EL3", "EL4", "EL5", "EL6")
    assert programme.regions("GB")[:2] == ("UK", "UKC")


def test_every_code_fits_the_vocabulary():
    for kind, codes in (
        (Country, programme.COUNTRIES),
        (Region, programme.all_regions()),
        (Language, programme.languages()),
        (Skill, starter().skills),
    ):
        adapter = TypeAdapter(kind)
        for code in codes:
            assert adapter.validate_python(code) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("62.10", "62.10"),
        ("6210", "62.10"),
        ("62", "62"),
        ("01.11", "01.11"),
        ("62.1", None),
        ("K", None),
        ("62.01", None),
        ("99.99", None),
        ("62.10.1", None),
        ("", None),
        ("٦٢", None),
    ],
)
def test_only_classes_and_divisions_of_the_revision_in_force_are_sectors(text: str, code: str | None):
    assert programme.nace_code(text) == code
    if code:
        TypeAdapter(Sector).validate_python(code[:2])


def test_a_code_of_the_former_revision_is_told_apart():
    assert programme.was_nace("62.01")
    assert not programme.was_nace("99.99")
