"""The evaluation of a snapshot: the same snapshot and the same code give the same figures, byte for byte."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pyiceberg.table import Table

import survey
from survey.analysis.counting import counted
from survey.analysis.snapshot import snapshot_of, submissions, versions
from survey.evaluation.figures import Counts
from survey.questionnaires.questionnaire import Questionnaire

_CALCULATING = ("evaluation", "questionnaires", "analysis/counting.py", "analysis/snapshot.py")
"""What figures depend on, in this package."""


@cache
def code_version() -> str:
    """The package's version, and a digest of the code that calculates and of the questionnaires it reads.

    So two that differ are told apart between releases as well, and from a wheel as from a checkout.
    """
    root = Path(survey.__file__).parent
    files = [file for place in _CALCULATING for file in _sources(root / place)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{version('survey')}+{digest.hexdigest()[:12]}"


def _sources(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(file for file in place.rglob("*") if file.suffix in (".py", ".yaml", ".toml"))


@dataclass(frozen=True)
class Counted:
    """What a snapshot holds for one version of the questionnaire."""

    counts: Counts
    versions: Mapping[str, int]
    """How many submissions answer each version, whether or not it is known here: all are kept."""


def of_snapshot(table: Table, snapshot_id: int, questionnaire: Questionnaire) -> Counted:
    """Raises: UnknownSnapshot: the table does not have it, or no longer."""
    with submissions(table, snapshot_of(table, snapshot_id)) as connection:
        return Counted(counted(connection, questionnaire), versions(connection))
