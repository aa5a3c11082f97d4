"""How long the evaluation of a snapshot takes, beside one DuckDB statement that reads the same files and sums the same up.

The evaluation finds its snapshot in the catalog, counts, hides small cells, calculates all figures and writes their JSON. The
plain statement is given the files and leaves the sums where DuckDB has them. In turns, in one process; the median of the ratios.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from backing import database, report
from chassis.migrations import migrate
from pyiceberg.table import Table
from sojourn_contracts.vocabulary import Party
from survey.analysis.evaluation import of_snapshot
from survey.analysis.snapshot import local_path, snapshot_of
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import DIMENSIONS, encoded
from survey.evaluation.steps import suppressed
from survey.main import service
from survey.questionnaires.published import newest
from survey.sink.settings import TableSettings
from survey.sink.table import catalog, made, opened

SUBMISSIONS = int(os.environ.get("SUBMISSIONS", "1000000"))
FILES = 20
ROUNDS = int(os.environ.get("ROUNDS", "5"))
THRESHOLD = 5
ASKED = newest()


def fill(table: Table) -> None:
    """A row for each number; which answer somebody gave is a hash of who and what."""
    step = -(-SUBMISSIONS // FILES)
    with duckdb.connect() as connection:
        for first in range(0, SUBMISSIONS, step):
            rows = connection.sql(f"{_rows()} from range({first}, {min(first + step, SUBMISSIONS)}) as made(i)")
            table.append(rows.to_arrow_table().cast(table.schema().as_arrow()))


def _rows() -> str:
    answers = " ".join(f"when {place} then {_answers(party)}" for place, party in enumerate(Party))
    company = f"sha256((hash(i // 3) % ({SUBMISSIONS} // 6 + 1))::varchar)"
    return f"""
        select uuid()::varchar as event_id, uuid()::varchar as record_id, '{ASKED.version}' as questionnaire,
            {[str(party) for party in Party]}[1 + (i % 3)::int] as party, 1::int as wave,
            date '2026-01-01' + (hash(i // 60) % 28)::int as released_on,
            sha256((i // 3)::varchar) as exchange_cluster, {company} as company_cluster,
            {_drawn(["DE", "FR", "IT", "ES", "PT", "PL", "AT", "NL"], "country")} as country,
            {_drawn(["C", "F", "G", "J", "M"], "sector")} as sector_section,
            {_drawn(["micro", "small", "medium"], "size")} as size_class,
            {_drawn(["14-30", "31-45", "46-62"], "days")} as duration_band,
            {_drawn(["traveller", "host_staff"], "training")} as training_direction,
            case i % 3 {answers} end as answers, 0::int as kafka_partition, i::bigint as kafka_offset
    """


def _answers(party: Party) -> str:
    questions = [question for question in ASKED.asked(party, 1) if question.codes]
    drawn = ", ".join(_drawn([*question.codes], question.code) for question in questions)
    return f"map({[question.code for question in questions]}, [{drawn}])"


def _drawn(values: list[str], what: str) -> str:
    return f"{values}[1 + (hash(i, '{what}') % {len(values)})::int]"


def evaluation(settings: TableSettings) -> bytes:
    table = opened(catalog(settings))
    counts = of_snapshot(table, snapshot_of(table, None), ASKED).counts
    return encoded(evaluate(suppressed(counts, THRESHOLD), ASKED))


def plain(files: list[str]) -> int:
    """The number of sums."""
    codes = dict.fromkeys(question.code for question in ASKED.questions if question.codes)
    given = ", ".join(f"answers['{code}'] as {code}" for code in codes)
    flags = ", ".join(
        f"({each.question} is not null and {each.question} not in ({_in(ASKED.question(each.question).missing)}))::int as n{i},"
        f" coalesce({each.question} in ({_in(each.favourable)}), false)::int as y{i}"
        for i, each in enumerate(ASKED.indicators)
    )
    numbers = range(len(ASKED.indicators))
    both = ", ".join(f"sum(n{i}) as n{i}, sum(y{i}) as y{i}" for i in numbers)
    sums = ", ".join(f"sum(n{i}), sum(y{i})" for i in numbers)
    squares = ", ".join(
        f"count(*) filter (n{i} > 0), sum(n{i} * n{i}), sum(n{i} * y{i}), sum(y{i} * y{i})" for i in numbers
    )
    tables = [
        *[
            f"select row(wave, party, '{code}', {code}, count(*))::varchar from answered"
            f" where {code} is not null group by wave, party, {code}"
            for code in codes
        ],
        *[f"select row(wave, {by}, {sums})::varchar from answered group by wave, {by}" for by in DIMENSIONS],
        f"select row(wave, {sums}, {squares})::varchar"
        f" from (select wave, {both} from answered group by wave, company_cluster) group by wave",
    ]
    with duckdb.connect() as connection:
        return len(
            connection.execute(
                f"with given as (select wave, company_cluster, {', '.join(DIMENSIONS)}, {given} from read_parquet($1)),"
                f" answered as materialized (select *, {flags} from given) {' union all '.join(tables)}",
                [files],
            ).fetchall()
        )


def _in(codes: frozenset[str]) -> str:
    return ", ".join(f"'{code}'" for code in sorted(codes))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def main() -> None:
    async with database() as own:
        await migrate(own.migrator_url, service.name, service.migrations)
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
            settings = TableSettings.model_validate(
                {"catalog_url": own.url(service.name), "warehouse": str(Path(folder) / "warehouse")}
            )
            table = made(catalog(settings))
            making = seconds(lambda: fill(table))
            files = [str(local_path(task.file.file_path)) for task in table.scan().plan_files()]
            evaluation(settings), plain(files)
            pairs = [(seconds(lambda: evaluation(settings)), seconds(lambda: plain(files))) for _ in range(ROUNDS)]
    report(
        "evaluation",
        {
            "submissions": SUBMISSIONS,
            "files": len(files),
            "making_s": making,
            "evaluation_s": statistics.median(ours for ours, _ in pairs),
            "plain_s": statistics.median(theirs for _, theirs in pairs),
            "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
