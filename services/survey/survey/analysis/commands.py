"""What the analysts' commands do: each says what it made of which snapshot, or raises ``Failed`` with a sentence for people."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from chassis.clock import SteppedClock, SystemClock
from chassis.database import Pool, pool
from chassis.transaction import UNLINKED, Transaction
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

from survey.analysis import publishing
from survey.analysis.chosen import Failed, Known, chosen
from survey.analysis.evaluation import code_version, of_snapshot
from survey.analysis.exports import Format, UnknownCodes
from survey.analysis.exports import export as write
from survey.analysis.report.report import pages
from survey.analysis.settings import EvaluationSettings
from survey.analysis.snapshot import UnknownSnapshot, snapshot_of, submissions, versions
from survey.evaluation import store
from survey.evaluation.evaluate import evaluate as evaluated
from survey.evaluation.figures import encoded
from survey.evaluation.steps import StepTooSmall, suppressed
from survey.evaluation.store import Publication
from survey.page.store import save_pages
from survey.questionnaires.questionnaire import Questionnaire
from survey.sink.settings import TableSettings
from survey.sink.table import catalog, opened


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except NoSuchTableError:
        raise Failed("the sink has not written anything yet: there is no table") from None
    except OperationalError:
        raise Failed("the table's catalog cannot be reached") from None
    except CommitFailedException:
        raise Failed("others commit to the table all the time; nothing was published, try again") from None
    except asyncpg.PostgresError as error:
        raise Failed(f"the database cannot be asked: {error}") from None
    except (UnknownSnapshot, UnknownCodes, StepTooSmall, OSError) as error:
        raise Failed(str(error)) from None


def _others(found: Mapping[str, int], questionnaire: Questionnaire, known: Known) -> list[str]:
    """What is left out, said."""
    return [
        f"{number} submissions answer {name}: ask for them with --questionnaire {name}"
        if name in known
        else f"{number} submissions answer {name}, which is not known here: they are kept until it is"
        for name, number in found.items()
        if name != questionnaire.version
    ]


def export(
    settings: TableSettings,
    known: Known,
    version: str | None,
    snapshot: int | None,
    kind: Format,
    language: str,
    out: Path,
) -> list[str]:
    """Writes the file; gives what there is to say about it.

    Raises:
        Failed: there is no such snapshot or version, or what is in it cannot be labelled.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        snapshot_id = snapshot_of(table, snapshot)
        with submissions(table, snapshot_id) as connection:
            rows = write(connection, questionnaire, kind, language, out)
            return [
                f"{rows} submissions to {questionnaire.version} of snapshot {snapshot_id} are in {out}",
                *_others(versions(connection), questionnaire, known),
            ]


def evaluate(
    settings: EvaluationSettings, known: Known, version: str | None, snapshot: int | None
) -> tuple[bytes, list[str]]:
    """A snapshot's figures as JSON, and what there is to say about them.

    Of a snapshot that was published, what was published, made again; of any other, all that is in it, small cells hidden.

    Raises:
        Failed: there is no such snapshot or version, or it was published by this code and comes out otherwise.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        published = asyncio.run(_published(settings, questionnaire))
        asked = snapshot if snapshot is not None else snapshot_of(table, None)
        for before, publication in zip([None, *published], published, strict=False):
            if publication.snapshot_id == str(asked):
                return _again(publication, before, table, questionnaire)
        counted = of_snapshot(table, asked, questionnaire)
    return encoded(evaluated(suppressed(counted.counts, settings.disclosure_threshold), questionnaire)), [
        f"snapshot {asked}, questionnaire {questionnaire.version}, code {code_version()}; not published",
        *_others(counted.versions, questionnaire, known),
    ]


def snapshot_or_newest(settings: TableSettings, snapshot: int | None) -> int:
    """Raises: Failed: there is no such snapshot, or none yet."""
    with _said():
        return snapshot_of(opened(catalog(settings)), snapshot)


def _again(
    publication: Publication, before: Publication | None, table: Table, questionnaire: Questionnaire
) -> tuple[bytes, list[str]]:
    name = f"publication {publication.step} of {publication.questionnaire}, snapshot {publication.snapshot_id}"
    try:
        figures = publishing.made_again(publication, before, table, questionnaire)
    except UnknownSnapshot:
        raise Failed(
            f"{name}: its snapshot went when something was erased. What was published stands, and cannot be made again"
        ) from None
    if figures == publication.figures:
        return figures, [f"{name}, code {code_version()}: as it was published"]
    if publication.code_version == code_version():
        raise Failed(f"{name}: comes out otherwise than it was published, by the same code {code_version()}")
    return figures, [
        f"{name}: comes out otherwise than it was published, by code {publication.code_version}; this is {code_version()}"
    ]


def publish(
    settings: EvaluationSettings, known: Known, version: str | None, snapshot: int | None
) -> tuple[bytes, list[str]]:
    """Publishes a snapshot's figures, and gives them as ``evaluate`` does.

    Raises:
        Failed: too few submissions came since the last publication, or there is no such snapshot or version.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        snapshot_id = snapshot_of(table, snapshot)
        counted = of_snapshot(table, snapshot_id, questionnaire)

        async def run() -> Publication:
            async with _transaction(settings) as tx:
                publication = await publishing.publish(
                    tx, table, snapshot_id, counted.counts, questionnaire, settings.disclosure_threshold
                )
            drawn = pages(publication, questionnaire)  # takes seconds, for which no transaction stays open
            async with _transaction(settings) as tx:
                await save_pages(tx, publication.questionnaire, publication.step, drawn)
            return publication

        publication = asyncio.run(run())
    return publication.figures, [
        f"published as step {publication.step} of {publication.questionnaire}: snapshot {snapshot_id},"
        f" code {publication.code_version}",
        *_others(counted.versions, questionnaire, known),
    ]


def publications(settings: EvaluationSettings, known: Known, version: str | None) -> list[str]:
    """A line of JSON for each publication, oldest first, with whether it can still be made again.

    Raises:
        Failed: there is no such version.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        return [
            json.dumps(
                {
                    "questionnaire": each.questionnaire,
                    "step": each.step,
                    "snapshot_id": each.snapshot_id,
                    "code_version": each.code_version,
                    "threshold": each.threshold,
                    "published_at": each.published_at.isoformat(),
                    "can_be_made_again": table.snapshot_by_id(int(each.snapshot_id)) is not None,
                }
            )
            for each in asyncio.run(_published(settings, questionnaire))
        ]


async def _published(settings: EvaluationSettings, questionnaire: Questionnaire) -> Sequence[Publication]:
    async with _transaction(settings) as tx:
        return await store.publications(tx, questionnaire.version)


@asynccontextmanager
async def _transaction(settings: EvaluationSettings) -> AsyncGenerator[Transaction]:
    clock = SteppedClock(settings.clock_file) if settings.clock_file else SystemClock()
    database: Pool = pool(settings.catalog_url.get_secret_value(), "survey", 1, settings.catalog_password_file)
    async with database, database.acquire() as connection, connection.transaction():
        yield Transaction(connection, "survey", clock.now(), UNLINKED)
