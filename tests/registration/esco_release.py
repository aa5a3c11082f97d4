"""A release of ESCO in small, laid out as one of the versions is."""

import csv
import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

URI = "http://data.europa.eu/esco"
Rows = list[dict[str, str]]

SKILL, GROUP = "KnowledgeSkillCompetence", "SkillGroup"


def _concept(kind: str, path: str, label: str, synonyms: str = "", **others: str) -> dict[str, str]:
    return {
        "conceptType": kind,
        "conceptUri": f"{URI}/{path}",
        "preferredLabel": label,
        "altLabels": synonyms,
        "hiddenLabels": "",
        "status": "released",
        "description": "Told at length,\nin several lines.",
        **others,
    }


def _broader(concept: str, broader: str) -> dict[str, str]:
    return {
        "conceptType": SKILL,
        "conceptUri": f"{URI}/{concept}",
        "broaderType": "x",
        "broaderUri": f"{URI}/{broader}",
    }


TEXTS: dict[str, Rows] = {
    "skills_en": [
        _concept(
            SKILL,
            "skill/aa-01",
            "bake  bread ",
            "bake bread\nmake loaves\nproof | prove dough",
            hiddenLabels="bread baking",
        ),
        _concept(SKILL, "skill/aa-02", "bake goods", "make baked goods"),
        _concept(SKILL, "skill/aa-03", "types of flour"),
        _concept(SKILL, "skill/aa-04", "an obsolete skill", status="obsolete"),
    ],
    "skills_de": [
        _concept(SKILL, "skill/aa-01", "Brot backen", "Laibe backen"),
        _concept(SKILL, "skill/aa-04", "veraltet", status="obsolete"),
    ],
    "skillGroups_en": [_concept(GROUP, "isced-f/0721", "food processing")],
    "skillGroups_de": [],
    "occupations_en": [_concept("Occupation", "occupation/oo-01", "baker", "bread maker")],
    "occupations_de": [_concept("Occupation", "occupation/oo-01", "Bäcker/Bäckerin")],
    "skillsHierarchy_en": [
        {
            "Level 0 URI": f"{URI}/skill/S",
            "Level 0 preferred term": "skills",
            **{f"Level {level} {what}": "" for level in (1, 2, 3) for what in ("URI", "preferred term")},
        },
        {
            "Level 0 URI": f"{URI}/skill/S",
            "Level 0 preferred term": "skills",
            "Level 1 URI": f"{URI}/skill/s1-preparing",
            "Level 1 preferred term": "preparing food",
            **{f"Level {level} {what}": "" for level in (2, 3) for what in ("URI", "preferred term")},
        },
    ],
}
for row in TEXTS["skillsHierarchy_en"]:
    row["Level 0 URI"] = f"{URI}/skill/s0-skills"

RELATIONS: dict[str, Rows] = {
    "broaderRelationsSkillPillar": [
        _broader("skill/s1-preparing", "skill/s0-skills"),
        _broader("skill/aa-01", "skill/aa-02"),
        _broader("skill/aa-02", "skill/s1-preparing"),
        _broader("skill/aa-03", "isced-f/0721"),
        _broader("skill/aa-04", "isced-f/0721"),
    ],
    "skillSkillRelations": [
        {
            "originalSkillUri": f"{URI}/skill/aa-01",
            "relationType": "optional",
            "relatedSkillUri": f"{URI}/skill/aa-03",
        }
    ],
    "occupationSkillRelations": [
        {"occupationUri": f"{URI}/occupation/oo-01", "relationType": kind, "skillUri": f"{URI}/skill/{skill}"}
        for kind, skill in (("essential", "aa-01"), ("optional", "aa-03"), ("essential", "aa-04"))
    ],
}


def _csv(rows: Rows, columns: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def files(suffix: str = "", **changes: Rows | None) -> Mapping[str, bytes]:
    """File name to content; ``suffix`` ends the names of relations, ``changes`` are other rows, or none of the file."""
    whole: dict[str, tuple[str, Rows]] = {name: (name, rows) for name, rows in TEXTS.items()}
    whole |= {name: (f"{name}{suffix}", rows) for name, rows in RELATIONS.items()}
    return {
        f"{file}.csv": _csv(rows, list((rows or TEXTS[name.replace("_de", "_en")])[0]))
        for name, (file, usual) in whole.items()
        for rows in (changes.get(name, usual),)
        if rows is not None
    }


def as_in_1_1(folder: Path, **changes: Rows | None) -> Path:
    """A folder of compressed files; the relations are without a language."""
    source = folder / "esco-v1.1.1"
    source.mkdir()
    for name, content in files(**changes).items():
        (source / f"{name}.gz").write_bytes(gzip.compress(content))
    return source


def as_in_1_2(folder: Path) -> Path:
    """A folder with an archive for each language, which has the relations too, with labels as further columns."""
    source = folder / "downloads"
    source.mkdir()
    labelled = {name: [row | {"skillLabel": "x"} for row in rows] for name, rows in RELATIONS.items()}
    for language in ("en", "de"):
        stem = f"ESCO dataset - v1.2.0 - classification - {language} - csv"
        with zipfile.ZipFile(source / f"{stem}.zip", "w") as archive:
            for name, content in files(f"_{language}", **labelled).items():
                if name.endswith(f"_{language}.csv"):
                    archive.writestr(f"{stem}/{name}", content)
    return source
