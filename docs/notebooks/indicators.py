# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The indicators, recomputed from the table
#
# Opens the Iceberg table of released submissions at one snapshot, and comes to the same figures as the programme's own
# evaluation, by code of its own. It needs `CATALOG_URL` (PostgreSQL, in a role that reads the catalog), `WAREHOUSE`,
# `SURVEY` (the survey service's address, for the questionnaire) and `pip install duckdb httpx
# 'pyiceberg[sql-postgres,pyarrow]'`. `SNAPSHOT` and `QUESTIONNAIRE` choose; unset, they are the newest.

# %%
import os
from math import sqrt
from statistics import NormalDist

import duckdb
import httpx
from pyiceberg.catalog.sql import SqlCatalog

# %% [markdown]
# A snapshot never changes: its id belongs to every figure that is made of it.

# %%
catalog = SqlCatalog(
    "sojourn",
    uri=os.environ["CATALOG_URL"].replace("postgresql://", "postgresql+psycopg2://", 1)
    + "?options=-csearch_path%3Dsurvey_sink",
    warehouse=os.environ["WAREHOUSE"],
    init_catalog_tables="false",
)
table = catalog.load_table("survey.submissions")
snapshot = int(os.environ.get("SNAPSHOT") or table.current_snapshot().snapshot_id)
submission = table.scan(snapshot_id=snapshot).to_arrow()
print(f"snapshot {snapshot}: {len(submission)} submissions")

# %% [markdown]
# The questionnaire says which answers are favourable, and which are none.

# %%
survey = httpx.Client(base_url=os.environ["SURVEY"])
version = os.environ.get("QUESTIONNAIRE") or survey.get("/questionnaires").raise_for_status().json()[-1]["version"]
questionnaire = survey.get(f"/questionnaires/{version}").raise_for_status().json()
missing = {question["code"]: question["missing"] for question in questionnaire["questions"]}
print(version, *(f"{each['code']}: {', '.join(each['favourable'])}" for each in questionnaire["indicators"]), sep="\n")

# %% [markdown]
# An indicator is favourable over valid answers. Each company is one row here, with its valid (`n`) and favourable (`y`)
# answers.


# %%
def by_company(indicator: dict) -> list[tuple[int, int, int]]:
    """Wave, n and y of each company with a valid answer."""
    return duckdb.execute(
        """
        select wave, count(*) as n, count(*) filter (list_contains($favourable, answer)) as y
        from (select wave, company_cluster, answers[$question] as answer from submission where questionnaire = $version)
        where answer is not null and not list_contains($missing, answer)
        group by wave, company_cluster
        """,
        {
            "favourable": indicator["favourable"],
            "question": indicator["question"],
            "missing": missing[indicator["question"]],
            "version": version,
        },
    ).fetchall()


def counts_of(indicator: dict) -> dict[tuple[int, str], int]:
    """Wave and answer to number, missing ones included."""
    rows = duckdb.execute(
        """
        select wave, answers[$question] as answer, count(*)
        from submission where questionnaire = $version and answer is not null group by all
        """,
        {"question": indicator["question"], "version": version},
    ).fetchall()
    return {(wave, answer): number for wave, answer, number in rows}


# %% [markdown]
# Wilson's interval holds at small counts. Beside it stands the same interval on as many answers as those of clustered
# companies are worth: n over the design effect, which is the cluster-robust variance over that of independent answers,
# and no less than 1.

# %%
Z = NormalDist().inv_cdf(0.975)


def wilson(favourable: float, valid: float) -> tuple[float, float]:
    share = favourable / valid
    centre = share + Z**2 / (2 * valid)
    half = Z * sqrt(share * (1 - share) / valid + Z**2 / (4 * valid**2))
    return max(0.0, (centre - half) / (1 + Z**2 / valid)), min(1.0, (centre + half) / (1 + Z**2 / valid))


def design_effect(companies: list[tuple[int, int]]) -> float:
    """Where the answers do not tell, because all are alike or of one company, a company's answers count as one."""
    n, y, size = sum(n for n, _ in companies), sum(y for _, y in companies), len(companies)
    if all(each == 1 for each, _ in companies):
        return 1.0
    if size < 2 or y in (0, n):
        return sum(each**2 for each, _ in companies) / n
    share = y / n
    variance = sum((good - share * each) ** 2 for each, good in companies) / n**2 * size / (size - 1)
    return variance / (share * (1 - share) / n)


# %%
figures = []
for indicator in questionnaire["indicators"]:
    companies, counts = by_company(indicator), counts_of(indicator)
    for wave in sorted({wave for wave, _, _ in companies}):
        clusters = [(n, y) for at, n, y in companies if at == wave]
        valid, count = sum(n for n, _ in clusters), sum(y for _, y in clusters)
        worth = valid / max(1.0, design_effect(clusters))
        several = any(n > 1 for n, _ in clusters)
        low, high = wilson(count, valid)
        robust = wilson(count / valid * worth, worth) if several else (None, None)
        pilot = indicator["pilot"] if wave == 1 else None
        figures.append(
            {
                "wave": wave,
                "code": indicator["code"],
                "n": sum(number for (at, _), number in counts.items() if at == wave),
                "valid": valid,
                "count": count,
                "share": round(count / valid, 6),
                "low": round(low, 6),
                "high": round(high, 6),
                "clusters": len(clusters),
                "cluster_low": None if robust[0] is None else round(robust[0], 6),
                "cluster_high": None if robust[1] is None else round(robust[1], 6),
                "dont_know": counts.get((wave, "98"), 0),
                "not_applicable": counts.get((wave, "99"), 0),
                "declined": counts.get((wave, "97"), 0),
                "pilot": pilot,
                "difference": None if pilot is None else round(count / valid - pilot, 6),
            }
        )

# %% [markdown]
# The pilot's shares have no base, so only ours is uncertain: where the interval holds the pilot's share, the two are
# alike as far as can be told.

# %%
for each in figures:
    robust = (
        "" if each["cluster_low"] is None else f", by company {each['cluster_low']:.1%} to {each['cluster_high']:.1%}"
    )
    beside = "" if each["pilot"] is None else f"; the pilot {each['pilot']:.0%}"
    print(
        f"wave {each['wave']} {each['code']:<12} {each['share']:6.1%} of {each['valid']}"
        f" [{each['low']:.1%} to {each['high']:.1%}{robust}]{beside}"
    )
print(f"Sojourn, released submissions, snapshot {snapshot}, questionnaire {version}")
