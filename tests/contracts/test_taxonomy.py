"""What is a taxonomy and what is not, and how its skills are related."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from sojourn_contracts import taxonomy
from sojourn_contracts.taxonomy import MAX_SIBLINGS, Concept, Kinship, Taxonomy, TaxonomyError, read, starter

Folder = Callable[..., Path]

FILES = {
    "taxonomy": "title,version,attribution\nTrades,3,By the guilds\n",
    "groups": "id,parents,label_en,label_de\ncrafts,,Crafts,Handwerk\nwood,crafts,Wood,Holz\n",
    "skills": (
        "id,parents,label_en,label_de,synonyms_en\n"
        "joinery,wood,Joinery,Tischlern,cabinet making|fine woodwork\n"
        'chairs,joinery|crafts,"Chairs, and stools",,\n'
        "tables,joinery,Tables,Tische,\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes a folder of the files above, with what is changed; a file that is None is not written."""

    def write(**changes: str | bytes | None) -> Path:
        for name, content in (FILES | changes).items():
            if content is not None:
                (tmp_path / f"{name}.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write


def faults(folder: Path) -> list[str]:
    with pytest.raises(TaxonomyError) as wrong:
        read(folder)
    assert str(wrong.value).splitlines()[1:] == [f"    {fault}" for fault in wrong.value.faults]
    return [str(fault) for fault in wrong.value.faults]


def test_the_starter_set_has_every_skill_in_one_group_under_a_label_of_its_own():
    skills = starter().skills
    assert len(skills) == len({concept.label() for concept in skills.values()}) == 120
    assert len(starter().groups) == len({starter().group(skill) for skill in skills}) == 15
    assert starter().group("cheese-making") == "food-production"
    assert starter() is starter()


@pytest.mark.parametrize("language", ["en", "de", "it", "fr"])
def test_the_starter_set_is_labelled_in_every_language_that_the_programme_writes_in(language: str):
    for concepts in (starter().skills, starter().groups):
        labels = [concept.labels[language] for concept in concepts.values()]
        assert all(labels)
        assert len(set(labels)) == len(labels)
    foreign = [
        skill.label(language) for skill in starter().skills.values() if skill.label(language) != skill.label("en")
    ]
    assert len(foreign) == (0 if language == "en" else len(starter().skills)), "none is left in English"


def test_a_taxonomy_is_read_from_its_files(folder: Folder):
    found = read(folder())
    assert (found.title, found.version, found.attribution) == ("Trades", "3", "By the guilds")
    assert found.languages == ("en", "de")
    assert list(found.skills) == ["joinery", "chairs", "tables"]
    assert list(found.groups) == ["crafts", "wood"]
    assert found.occupations == {}
    joinery, chairs = found.skills["joinery"], found.skills["chairs"]
    assert joinery.synonyms == {"en": ("cabinet making", "fine woodwork")}
    assert chairs.parents == ("joinery", "crafts")
    assert (chairs.label(), chairs.label("en"), joinery.label("de")) == ("Chairs, and stools",) * 2 + ("Tischlern",)


def test_a_label_that_a_language_lacks_is_the_first_languages(folder: Folder):
    assert read(folder()).skills["chairs"].label("de") == "Chairs, and stools"


def test_the_line_ends_and_the_mark_of_a_spreadsheet_are_no_faults(folder: Folder):
    saved = b"\xef\xbb\xbf" + FILES["skills"].replace("\n", "\r\n").encode()
    assert list(read(folder(skills=saved)).skills) == ["joinery", "chairs", "tables"]


def test_what_is_written_reads_the_same(folder: Folder, tmp_path: Path):
    occupations = 'id,essential,optional,label_en,label_de\njoiner,joinery|tables,chairs,"A ""joiner""",\n'
    found = read(folder(occupations=occupations))
    copy = tmp_path / "copy"
    copy.mkdir()
    taxonomy.write(found, copy)
    again = read(copy)
    for part in ("title", "version", "attribution", "languages", "skills", "groups", "occupations"):
        assert getattr(again, part) == getattr(found, part)
    assert again.occupations["joiner"].essential == ("joinery", "tables")


SKILLS_HEADER = "id,parents,label_en,label_de\n"


@pytest.mark.parametrize(
    ("skills", "fault"),
    [
        ("ab,wood,A,\ncd,woods,C,\n", "3:4: parent 'woods' of 'cd' is unknown"),
        ("ab,wood|woods,A,\n", "2:9: parent 'woods' of 'ab' is unknown"),
        ('ab,"wood|woods",A,\n', "2:10: parent 'woods' of 'ab' is unknown"),
        ("woo,,A,\nab,woo|wo,B,\n", "3:8: parent 'wo' of 'ab' is unknown"),
        ("ab,wood,A,\ncd,,C,\nab,,B,\n", "4:1: id 'ab' is taken by skills.csv:2"),
        ("wood,,A,\n", "2:1: id 'wood' is taken by groups.csv:3"),
        ("Ab,wood,A,\n", "2:1: id 'Ab' should be 2 to 64 of a-z, 0-9 and -, and not begin with -"),
        ('"a,b",wood,A,\n', "2:1: id 'a,b' should be 2 to 64 of a-z, 0-9 and -, and not begin with -"),
        ("ab,wood, ,A\n", "2:9: 'ab' has no label"),
        ("ab,wood|wood,A,\n", "2:4: parents of 'ab' name one twice"),
        ("ab,ab,A,\n", "2:4: is a cycle: ab > ab"),
        ("ab,ef,A,\ncd,ab,C,\nef,wood|cd,E,\n", "3:4: is a cycle: ab > ef > cd > ab"),
        ("ab,wood,A\n", "2:1: has 3 cells, the header 4"),
        ('ab,wood,"A\nB",\n', "2:1: a cell goes on until line 3; it should end in its own"),
        ('ab,wood,"A,\n', "2:1: is not CSV: unexpected end of data"),
        ("", "2:1: has no skill"),
    ],
)
def test_a_fault_among_skills_is_named_with_line_and_column(folder: Folder, skills: str, fault: str):
    assert faults(folder(skills=SKILLS_HEADER + skills)) == [f"skills.csv:{fault}"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"skills": ""}, "skills.csv:1:1: is empty"),
        ({"groups": None}, "groups.csv:1:1: cannot be read: No such file or directory"),
        ({"skills": b"id,label_en,label_de\nab,\xc3\xa4\xff,\n"}, "skills.csv:2:5: is not UTF-8"),
        ({"skills": b"\xff"}, "skills.csv:1:1: is not UTF-8"),
        ({"skills": "id,label_en,label_de,note\n"}, "skills.csv:1:22: column 'note' is none of id, parents, essential"),
        ({"skills": "id,id,label_en,label_de\n"}, "skills.csv:1:4: column 'id' is there twice"),
        ({"skills": "label_en,label_de\nA,\n"}, "skills.csv:1:1: column 'id' is missing"),
        ({"skills": "id,label_en,label_de,synonyms_fr\n"}, "skills.csv:1:22: column 'synonyms_fr' is none of id"),
        (
            {"skills": 'id,label_en,label_de,parents\nab,"A, ""B"", C",D,woods\n'},
            "skills.csv:2:20: parent 'woods' of 'ab' is unknown",
        ),
        ({"skills": "id\nab\n"}, "skills.csv:1:1: a column with labels is missing"),
        ({"groups": "id,label_en\ncrafts,Crafts\nwood,Wood\n"}, "groups.csv:1:1: has labels in"),
        (
            {"groups": "id,parents,label_en,label_de\ncrafts,wood,C,\nwood,crafts,W,\n"},
            "groups.csv:3:6: is a cycle: cr",
        ),
        ({"groups": FILES["groups"] + "iron,joinery,I,\n"}, "groups.csv:4:6: parent 'joinery' of 'iron' is unknown"),
        ({"taxonomy": "title,version\nTrades,\n"}, "taxonomy.csv:2:8: version is missing"),
        ({"taxonomy": "title,version\n"}, "taxonomy.csv:2:1: should be one line"),
        (
            {"occupations": "id,essential,label_en,label_de\njoiner,joinery|wood,J,\n"},
            "occupations.csv:2:16: essential skill 'wood' of 'joiner' is unknown",
        ),
    ],
)
def test_a_faulty_file_is_named(folder: Folder, changes: dict[str, str], found: str):
    [fault] = faults(folder(**changes))
    assert fault.startswith(found)


def test_all_faults_are_named_at_once_in_the_order_of_the_files(folder: Folder):
    skills = SKILLS_HEADER + "ab,cd|woods,A,\ncd,ab,C,\ncd,,D,\nef,wood,,\ngh,ef,G,\n"
    assert [fault.split(" ")[0] for fault in faults(folder(skills=skills))] == [
        "skills.csv:2:7:",
        "skills.csv:3:4:",
        "skills.csv:4:1:",
        "skills.csv:5:9:",
    ]


def test_two_ways_to_one_parent_are_no_cycle(folder: Folder):
    skills = SKILLS_HEADER + "ab,cd|ef,A,\ncd,gh,C,\nef,gh,E,\ngh,wood,G,\n"
    assert read(folder(skills=skills)).group("ab") == "wood"


def family(**parents: str) -> Taxonomy:
    """Skills with their parents; the groups are those that are no skills."""
    skills = {name: Concept(name, {"en": name}, parents=tuple(above.split())) for name, above in parents.items()}
    groups = {name for concept in skills.values() for name in concept.parents} - skills.keys()
    return Taxonomy("", "", "", ("en",), skills, {name: Concept(name, {"en": name}) for name in groups}, {})


def test_a_skill_is_related_to_its_parents_its_children_and_its_siblings_in_this_order():
    related = family(oak="trees", beech="trees", trees="wood", shrubs="wood", acorn="oak").related
    assert list(related("oak").items()) == [
        ("trees", Kinship.BROADER),
        ("acorn", Kinship.NARROWER),
        ("beech", Kinship.SIBLING),
    ]
    assert related("trees") == {"beech": Kinship.NARROWER, "oak": Kinship.NARROWER, "shrubs": Kinship.SIBLING}


def test_a_skill_that_the_taxonomy_does_not_have_is_related_to_none():
    assert starter().related("time-travel") == {}


def test_the_direct_relation_counts_where_two_skills_are_siblings_as_well():
    related = family(trees="wood", oak="trees wood").related
    assert related("oak") == {"trees": Kinship.BROADER}
    assert related("trees") == {"oak": Kinship.NARROWER}


@pytest.mark.parametrize(("children", "siblings"), [(MAX_SIBLINGS, MAX_SIBLINGS - 1), (MAX_SIBLINGS + 1, 0)])
def test_the_children_of_a_parent_with_very_many_are_no_siblings(children: int, siblings: int):
    crowd = family(**{f"skill-{number}": "all" for number in range(children)})
    assert len(crowd.related("skill-0")) == siblings


def test_kinship_is_mutual_in_the_starter_set_and_under_two_parents():
    mirrored = {
        Kinship.BROADER: Kinship.NARROWER,
        Kinship.NARROWER: Kinship.BROADER,
        Kinship.SIBLING: Kinship.SIBLING,
        None: None,
    }
    woven = family(aa="g1 g2", bb="g1 aa", cc="g2 bb", dd="bb cc", ee="g3")
    for either in (starter(), woven):
        for one, other in combinations(either.skills, 2):
            assert either.related(one).get(other) == mirrored[either.related(other).get(one)]
        assert not any(skill in either.related(skill) for skill in either.skills)


def test_the_group_is_the_nearest_above_and_of_equals_the_first():
    found = family(oak="trees", trees="bark wood", bark="skin", none="")
    assert [found.group(skill) for skill in ("oak", "trees", "bark", "none")] == ["wood", "wood", "skin", None]
