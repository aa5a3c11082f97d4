"""The evaluation's SQL: the tally, and what was published. One function a question."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts.survey import SurveySubmitted

from chassis import erased as erased_ids
from survey.evaluation import counting
from survey.evaluation.counting import Judged, Tally
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import Counts, encoded
from survey.evaluation.steps import Released, decoded_released, encoded_released, step
from survey.questionnaires.questionnaire import Questionnaire


async def add_submissions(
    tx: Transaction, events: Sequence[SurveySubmitted], questionnaires: Mapping[str, Questionnaire]
) -> None:
    """Counts released submissions; those of a version that is not known here are left for a rebuild."""
    tally: Tally = Counter()
    judged: list[Judged] = []
    for event in events:
        if questionnaire := questionnaires.get(event.questionnaire):
            numbers, answers = counting.added(event, questionnaire)
            tally.update(numbers)
            judged += answers
    for numbers in await _add_to_companies(tx, judged):
        tally.update(numbers)
    await add(tx, tally)


async def _add_to_companies(tx: Transaction, judged: Iterable[Judged]) -> list[Tally]:
    """Adds the answers to those of their companies; gives what that adds to the sums over companies."""
    came: dict[tuple[str, int, str, bytes], tuple[Judged, int, int]] = {}
    for each in judged:
        key = (each.questionnaire, each.wave, each.indicator, sha256(each.company_cluster.encode()).digest()[:16])
        _, valid, favourable = came.get(key, (each, 0, 0))
        came[key] = (each, valid + 1, favourable + each.favourable)
    rows = await tx.connection.fetch(
        """
        insert into company_answers (questionnaire, wave, indicator, company, valid, favourable)
        select questionnaire, wave, indicator, company, valid, favourable
        from unnest($1::text[], $2::int[], $3::text[], $4::bytea[], $5::int[], $6::int[])
            as came(questionnaire, wave, indicator, company, valid, favourable)
        on conflict (questionnaire, wave, indicator, company) do update
        set valid = company_answers.valid + excluded.valid, favourable = company_answers.favourable + excluded.favourable
        returning questionnaire, wave, indicator, company, valid, favourable
        """,
        *[[key[place] for key in sorted(came)] for place in range(4)],
        *[[came[key][place] for key in sorted(came)] for place in (1, 2)],
    )
    moved: list[Tally] = []
    for row in rows:
        each, valid, favourable = came[row["questionnaire"], row["wave"], row["indicator"], row["company"]]
        after = (row["valid"], row["favourable"])
        moved.append(counting.moved(each, (after[0] - valid, after[1] - favourable), after))
    return moved


async def add(tx: Transaction, tally: Tally) -> None:
    """Appends, so that nobody who counts waits for anybody."""
    numbers = [(kind, list(cell), number) for (kind, cell), number in sorted(tally.items()) if number]
    await tx.connection.executemany("insert into tally_change (kind, cell, number) values ($1, $2, $3)", numbers)


async def changed(tx: Transaction) -> bool:
    """Whether anything was counted since the last sum."""
    return await tx.connection.fetchval("select exists (select from tally_change)")


async def summed(tx: Transaction) -> int:
    """Adds up what was counted since the last time; gives the tally's version, which grows with each change of a number."""
    await tx.connection.execute(
        """
        with gone as (
            delete from tally_change returning kind, cell, number
        ), came as (
            select kind, cell, sum(number) as number from gone group by kind, cell having sum(number) <> 0 order by kind, cell
        ), summed as (
            insert into tally (kind, cell, number) select kind, cell, number from came
            on conflict (kind, cell) do update set number = tally.number + excluded.number
            returning kind
        )
        insert into tally_version (version) select 1 where exists (select from summed)
        on conflict (single) do update set version = tally_version.version + 1
        """
    )
    return await version(tx)


async def version(tx: Transaction) -> int:
    """Of the last sum; 0 before the first one."""
    return await tx.connection.fetchval("select coalesce(max(version), 0) from tally_version")


async def counts(tx: Transaction, questionnaire: str) -> Counts:
    """What was summed of a version of the questionnaire and of the programme, in one statement."""
    rows = await tx.connection.fetch(
        "select kind, cell, number from tally where number <> 0 and (kind <> all ($1) or cell[1] = $2)",
        [counting.SUBMISSION, counting.ANSWER, counting.CELL, counting.CLUSTER],
        questionnaire,
    )
    return counting.counts(Counter({(row["kind"], tuple(row["cell"])): row["number"] for row in rows}), questionnaire)


async def hold_read_model(tx: Transaction) -> None:
    """Until the transaction's end nobody changes what figures are read from, or erases anybody; all others may read.

    It may think between its statements for longer than others may.
    """
    await tx.connection.execute("set local idle_in_transaction_session_timeout = 0")
    await erased_ids.side_by_side(tx.connection)
    await tx.connection.execute(
        "lock table company, exchange, invitation, unlinked, released, company_answers, tally_change, tally"
        " in exclusive mode"
    )


async def erased(tx: Transaction) -> set[UUID]:
    """All that were ever erased."""
    return {row["subject"] for row in await tx.connection.fetch("select subject from erased")}


async def empty_read_model(tx: Transaction) -> None:
    """But for the bare ids of companies that are erased, and for the version of the tally."""
    await tx.connection.execute(
        "delete from company where not erased; delete from exchange; delete from released; delete from company_answers"
    )


async def tally_rows(tx: Transaction) -> None:
    """Counts all rows anew, whatever was counted before."""
    await tx.connection.execute(
        """
        delete from tally_change;
        delete from tally;
        insert into tally_change (kind, cell, number)
        select kind, cell, sum(number) from (
            select counts.kind, counts.cell, counts.number from invitation, counted(invitation) as counts
            union all select counts.kind, counts.cell, counts.number from unlinked, counted(unlinked) as counts
            union all select counts.kind, counts.cell, counts.number from company, counted(company) as counts
            union all select counts.kind, counts.cell, counts.number from exchange, counted(exchange) as counts
        ) as counted
        group by kind, cell
        """
    )


async def submissions_of_log(tx: Transaction) -> AsyncIterator[SurveySubmitted]:
    """All that were ever released, also those that are still on their way to the log."""
    rows = tx.connection.cursor(
        "select data from event_log where topic = $1 and data is not null"
        " union all select data from outbox where topic = $1 and data is not null",
        SurveySubmitted.topic(),
        prefetch=500,
    )
    async for row in rows:
        yield SurveySubmitted.model_validate_json(row["data"])


@dataclass(frozen=True)
class Publication:
    """Figures as the public was told them, and what they were made from."""

    questionnaire: str
    step: int
    """1 is the first publication of this version of the questionnaire."""
    snapshot_id: str
    """Of the files that were evaluated."""
    code_version: str
    """Of the code that evaluated them."""
    threshold: int
    """Answers that a step, and a group that is shown, has at least."""
    published_at: datetime
    released: Released
    """What the next step is held against."""
    figures: bytes
    """As ``figures.encoded`` gives them."""


async def publish(
    tx: Transaction,
    counts: Counts,
    questionnaire: Questionnaire,
    snapshot_id: str,
    code_version: str,
    threshold: int,
) -> Publication:
    """Tells the public the next step of the counts.

    Raises:
        StepTooSmall: fewer than ``threshold`` submissions came since the last publication; nothing is published.
    """
    await tx.connection.execute("lock table publication in share row exclusive mode")
    last = await last_publication(tx, questionnaire.version)
    released = step(last.released if last else None, counts, questionnaire, threshold)
    publication = Publication(
        questionnaire=questionnaire.version,
        step=last.step + 1 if last else 1,
        snapshot_id=snapshot_id,
        code_version=code_version,
        threshold=threshold,
        published_at=tx.now,
        released=released,
        figures=encoded(evaluate(released.told, questionnaire)),
    )
    await tx.connection.execute(
        """
        insert into publication
            (questionnaire, step, snapshot_id, code_version, threshold, published_at, released, figures)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        publication.questionnaire,
        publication.step,
        publication.snapshot_id,
        publication.code_version,
        publication.threshold,
        publication.published_at,
        encoded_released(publication.released).decode(),
        publication.figures.decode(),
    )
    return publication


async def last_publication(tx: Transaction, version: str) -> Publication | None:
    """None where nothing of this version was published yet."""
    row = await tx.connection.fetchrow(
        f"select {_PUBLICATION} from publication where questionnaire = $1 order by step desc limit 1",  # noqa: S608
        version,
    )
    return None if row is None else _publication(row)


async def publications(tx: Transaction, version: str) -> list[Publication]:
    """All of a version, in their order: what it takes to recompute any of them."""
    rows = await tx.connection.fetch(
        f"select {_PUBLICATION} from publication where questionnaire = $1 order by step",  # noqa: S608
        version,
    )
    return [_publication(row) for row in rows]


_PUBLICATION = "questionnaire, step, snapshot_id, code_version, threshold, published_at, released, figures"


def _publication(row: Any) -> Publication:
    released, figures = decoded_released(row["released"]), row["figures"].encode()
    return Publication(**{**row, "released": released, "figures": figures})
