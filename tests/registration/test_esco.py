"""ESCO's files become a taxonomy, or nothing is changed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from registration.esco import EscoError, import_esco
from registration.main import command
from sojourn_contracts.taxonomy import TaxonomyError, read
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.registration.esco_release import GROUP, RELATIONS, TEXTS, URI, as_in_1_1, as_in_1_2

ESCO = next(
    (found for above in REPOSITORY.parents if (found := above / "shared" / "data" / "esco-v1.1.1").is_dir()), None
)
"""The whole release, where it lies in a folder ``shared`` beside the repository or further up."""


def silent(step: str) -> None:
    """For who does not look at the progress."""


@pytest.mark.parametrize(("layout", "version"), [(as_in_1_1, "1.1.1"), (as_in_1_2, "1.2.0")])
def test_a_release_becomes_a_taxonomy(tmp_path: Path, layout: Callable[[Path], Path], version: str):
    made = import_esco(layout(tmp_path), tmp_path / "esco", progress=silent)
    found = read(tmp_path / "esco")
    assert found.skills == made.skills
    assert (found.version, found.languages) == (version, ("en", "de"))
    assert found.attribution.startswith(
        "This service uses the ESCO classification of the European Commission. It is modified"
    )
    assert list(found.skills) == ["aa-01", "aa-02", "aa-03"]
    bread = found.skills["aa-01"]
    assert bread.labels == {"en": "bake bread", "de": "Brot backen"}
    assert bread.synonyms == {"en": ("make loaves", "proof", "prove dough", "bread baking"), "de": ("Laibe backen",)}
    assert (bread.parents, bread.optional, bread.essential) == (("aa-02",), ("aa-03",), ())
    assert {name: group.label() for name, group in found.groups.items()} == {
        "0721": "food processing",
        "s0-skills": "skills",
        "s1-preparing": "preparing food",
    }
    assert found.groups["s1-preparing"].parents == ("s0-skills",)
    assert (found.group("aa-01"), found.group("aa-03")) == ("s1-preparing", "0721")
    baker = found.occupations["oo-01"]
    assert (baker.label("de"), baker.essential, baker.optional) == ("Bäcker/Bäckerin", ("aa-01",), ("aa-03",))


def test_what_is_left_out_is_told(tmp_path: Path):
    told: list[str] = []
    import_esco(as_in_1_1(tmp_path, skillSkillRelations=None), tmp_path / "esco", progress=told.append)
    assert "there is no skillSkillRelations.csv: without these relations" in told
    assert "left out of occupationSkillRelations.csv: 1 relations of what the release does not have" in told


def without(name: str, column: str) -> dict[str, list[dict[str, str]]]:
    rows = (TEXTS | RELATIONS)[name]
    return {name: [{key: value for key, value in row.items() if key != column} for row in rows]}


CIRCLE = [
    *RELATIONS["broaderRelationsSkillPillar"],
    {"conceptType": "x", "conceptUri": f"{URI}/skill/aa-02", "broaderType": "x", "broaderUri": f"{URI}/skill/aa-01"},
]
NOWHERE = [{"conceptType": "x", "conceptUri": f"{URI}/skill/aa-02", "broaderType": GROUP, "broaderUri": f"{URI}/zz-9"}]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (without("skills_de", "altLabels"), "skills_de.csv:1:1: column 'altLabels' is missing; there are conceptType,"),
        (without("broaderRelationsSkillPillar", "broaderUri"), "SkillPillar.csv:1:1: column 'broaderUri' is missing"),
        ({"broaderRelationsSkillPillar": None}, "there is no file broaderRelationsSkillPillar.csv"),
        ({"broaderRelationsSkillPillar": NOWHERE}, "SkillPillar.csv:2:1: 'zz-9' is neither a skill nor a group"),
        ({"broaderRelationsSkillPillar": CIRCLE}, "skills.csv:3:20: is a cycle: aa-01 > aa-02 > aa-01"),
        ({"skills_en": None, "skills_de": None}, "there is no file of skills, such as skills_en.csv"),
        ({"skills_en": None}, "there is no file skillGroups_de.csv"),
    ],
)
def test_a_faulty_release_is_told_and_changes_nothing(tmp_path: Path, changes: dict[str, None], told: str):
    if "skills_en" in changes:
        changes = changes | {"skillGroups_de": None}
    source = as_in_1_1(tmp_path, **changes)
    with pytest.raises((EscoError, TaxonomyError)) as failed:
        import_esco(source, tmp_path / "esco", progress=silent)
    assert told in str(failed.value)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_folder_that_is_there_already_is_left_as_it_is(tmp_path: Path):
    source = as_in_1_1(tmp_path)
    import_esco(source, tmp_path / "esco", progress=silent)
    with pytest.raises(EscoError, match="is there already"):
        import_esco(source, tmp_path / "esco", "2.0", silent)
    assert read(tmp_path / "esco").version == "1.1.1"


def test_a_broken_archive_is_named(tmp_path: Path):
    source = as_in_1_1(tmp_path)
    broken = source / "skills_de.csv.gz"
    broken.write_bytes(broken.read_bytes()[:-20])
    with pytest.raises(EscoError, match=r"skills_de\.csv: cannot be read"):
        import_esco(source, tmp_path / "esco", progress=silent)


def test_the_version_is_asked_for_where_no_name_tells_it(tmp_path: Path):
    source = as_in_1_1(tmp_path).rename(tmp_path / "downloads")
    with pytest.raises(EscoError, match="no name tells the version"):
        import_esco(source, tmp_path / "esco", progress=silent)
    assert import_esco(source, tmp_path / "esco", "1.0.9", silent).version == "1.0.9"


def test_files_of_two_versions_are_not_mixed(tmp_path: Path):
    source = as_in_1_1(tmp_path)
    shutil.copytree(as_in_1_2(tmp_path), source / "later")
    with pytest.raises(EscoError, match=r"several versions, 1\.1\.1, 1\.2\.0"):
        import_esco(source, tmp_path / "esco", progress=silent)


def test_the_command_says_what_it_does_and_what_is_owed_to_the_source(tmp_path: Path):
    said = CliRunner().invoke(command, ["taxonomy", "import-esco", str(as_in_1_1(tmp_path)), str(tmp_path / "esco")])
    assert said.exit_code == 0
    assert "reading skills_de.csv" in said.stderr
    assert "3 skills, 3 groups, 1 occupations, labels in en, de" in said.stdout
    assert "This service uses the ESCO classification of the European Commission." in said.stdout
    again = CliRunner().invoke(command, ["taxonomy", "import-esco", str(tmp_path), str(tmp_path / "esco")])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "nothing was changed" in again.stderr


def test_the_check_names_the_faults_of_a_folder(tmp_path: Path):
    import_esco(as_in_1_1(tmp_path), tmp_path / "esco", progress=silent)
    assert CliRunner().invoke(command, ["taxonomy", "check", str(tmp_path / "esco")]).exit_code == 0
    skills = tmp_path / "esco" / "skills.csv"
    skills.write_text(skills.read_text().replace("aa-01,aa-02,", "aa-01,aa-09,"))
    said = CliRunner().invoke(command, ["taxonomy", "check", str(tmp_path / "esco")])
    assert said.exit_code == 1
    assert "skills.csv:2:7: parent 'aa-09' of 'aa-01' is unknown" in said.stderr


@pytest.mark.skipif(ESCO is None, reason="ESCO's release 1.1.1 is not in shared/data beside the repository")
def test_the_whole_release_becomes_a_taxonomy(tmp_path: Path):
    assert ESCO is not None
    found = import_esco(ESCO, tmp_path / "esco", progress=silent)
    assert (found.version, len(found.skills), len(found.groups), len(found.occupations)) == (
        "1.1.1",
        13_896,
        647,
        3_007,
    )
    assert sum(len(skill.essential) + len(skill.optional) for skill in found.skills.values()) == 5_899
    assert sum(len(one.essential) + len(one.optional) for one in found.occupations.values()) == 123_855 - 67
    assert all(found.group(skill) for skill in found.skills)
