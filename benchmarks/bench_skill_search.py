"""The search for people who type a skill: milliseconds for the ten best of 14,000 skills, in itself and over HTTP.

Over ESCO 1.1.1 where ``shared/data`` has it beside the repository or further up, else over as many skills made up. What is typed
are all single letters, all pairs of them as one word and as two, and the beginnings of labels and synonyms. The slowest query
is the one whose best of three tries is; the other figures have the machine's other work in them.
"""

import asyncio
import gc
import random
import string
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
from backing import percentile, report
from fastapi import FastAPI
from registration import skills
from registration.esco import import_esco
from registration.skill_search import SkillSearch, search_in
from sojourn_contracts import taxonomy
from sojourn_contracts.taxonomy import Concept, Taxonomy

SKILLS = 14_000
SYNONYMS = 7
"""As many as ESCO has for each skill."""
ESCO = Path("shared", "data", "esco-v1.1.1")


def made_up() -> Taxonomy:
    """Skills of two to five words with synonyms, some words much more frequent than others."""
    by = random.Random(7)
    lexicon = ["".join(by.choices(string.ascii_lowercase, k=by.randint(2, 11))) for _ in range(9_000)]
    weights = [1 / rank for rank in range(1, len(lexicon) + 1)]

    def text() -> str:
        return " ".join(by.choices(lexicon, weights, k=by.randint(2, 5)))

    concepts = [
        Concept(f"skill-{number}", {"en": text()}, {"en": tuple(text() for _ in range(SYNONYMS))}, ("all",))
        for number in range(SKILLS)
    ]
    group = Concept("all", {"en": "All"})
    return Taxonomy("Made up", "1", "", ("en",), {one.id: one for one in concepts}, {"all": group}, {})


def written(folder: Path) -> str:
    """Writes the taxonomy into the folder; says which it is."""
    found = next((above / ESCO for above in Path(__file__).resolve().parents if (above / ESCO).is_dir()), None)
    if found:
        import_esco(found, folder)
        return "esco"
    folder.mkdir()
    taxonomy.write(made_up(), folder)
    return "made up"


def typed(of: Taxonomy) -> Iterator[str]:
    yield from string.ascii_lowercase
    for one, other in product(string.ascii_lowercase, repeat=2):
        yield one + other
        yield f"{one} {other}"
    by = random.Random(7)
    for concept in by.sample(list(of.skills.values()), 500):
        text = by.choice([concept.label(), *concept.synonyms.get("en", ())])
        for length in range(1, min(12, len(text)) + 1):
            if text[:length].strip():
                yield text[:length].strip()


def once(search: SkillSearch, query: str) -> float:
    began = time.perf_counter()
    search.best(query, 10, "en")
    return (time.perf_counter() - began) * 1000


async def over_http(of: Taxonomy, queries: list[str]) -> list[float]:
    app = FastAPI()
    app.include_router(skills.routes)
    app.state.settings = SimpleNamespace(taxonomy=of)
    milliseconds: list[float] = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registration") as http:
        await http.get("/skills", params={"q": "warm"})
        for query in queries:
            began = time.perf_counter()
            await http.get("/skills", params={"q": query})
            milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name) / "taxonomy"
        source = written(folder)
        process = psutil.Process()
        before = process.memory_info().rss
        began = time.perf_counter()
        read = taxonomy.read(folder)
        loaded = time.perf_counter()
        search: SkillSearch = search_in(read)
        indexed = time.perf_counter()
        memory = process.memory_info().rss - before
    gc.collect()
    gc.freeze()  # as a process does when it begins to serve
    queries = list(typed(read))
    rounds = [[once(search, query) for query in queries] for _ in range(3)]
    milliseconds = rounds[0]
    answered = asyncio.run(over_http(read, queries[::5]))
    print(f"{len(read.skills):,} skills ({source}), {len(queries):,} queries")
    report(
        "skill_search",
        {
            "skills": len(read.skills),
            "read_s": loaded - began,
            "index_s": indexed - loaded,
            "memory_mb": memory / 2**20,
            "search_p50_ms": percentile(milliseconds, 0.5),
            "search_p99_ms": percentile(milliseconds, 0.99),
            "search_slowest_ms": max(map(min, *rounds)),
            "http_p50_ms": percentile(answered, 0.5),
            "http_p99_ms": percentile(answered, 0.99),
        },
    )


if __name__ == "__main__":
    main()
