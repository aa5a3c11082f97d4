"""Two companies that fit each other, and choices by which everybody does their part."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid5

from pilot.choices import Parameters, Reply, Tick
from pilot.population import NAMESPACE, START, Company

UNTIL = datetime(2017, 12, 31, tzinfo=UTC)
ENGLISH = [{"language": "en", "level": "C1"}]
STAY = {
    "languages": ENGLISH,
    "window": {"first": "2016-12-15", "last": "2017-02-28"},
    "min_days": 14,
    "max_days": 30,
    "preferred_sectors": [],
}
EVERYBODY_DOES = replace(
    Parameters(),
    reply={side: {Reply.ACCEPT: 1} for side in ("sender", "host")},
    redraft=1.0,
    sign_a_stale_version=1.0,
    cancel=0.0,
    split=0.0,
    both_learn=0.0,
    send_back=1.0,
    tick={Tick.IN_TIME: 1},
    arrive_late=0.0,
    answer_fit=1.0,
    fits=0.0,
    interrupt=0.0,
    end_early=0.0,
    extend=0.0,
    forget_completion=0.0,
    answer_survey=dict.fromkeys(("sender", "host", "traveller"), 1.0),
    answer_twice=1.0,
    skip_optional=0.0,
    draft_with_gaps=0.0,
    update=0.0,
    withdraw=0.0,
    still_interested=1.0,
    offer_again=1.0,
    erase_traveller=0.0,
)


def a_company(index: int, country: str, region: str, nace: str, **stays: object) -> Company:
    form = {
        "name": f"Company {index}",
        "country": country,
        "region": region,
        "nace": nace,
        "size_class": "small",
        "accounts": [{"headcount": 30, "turnover": 4_000_000, "balance_sheet": 3_000_000}] * 2,
        "learning_only": True,
        "contact": {"name": "Uwe", "email": f"uwe.{index}@example.org", "reads": "en"},
        "languages": ENGLISH,
        "placements": [],
        "offers": [],
        **stays,
    }
    return Company(
        index=index,
        key=str(uuid5(NAMESPACE, f"journey/{index}")),
        first=form,
        form=form,
        registers_at=START + timedelta(hours=index),
        looks_every=timedelta(days=1),
    )


SENDER = a_company(
    0,
    "ES",
    "ES3",
    "62.10",
    placements=[
        STAY
        | {
            "traveller": {"name": "Ana", "email": "ana@example.org", "reads": "de"},
            "destinations": ["DE", "FR"],
            "skills_brought": ["web-development"],
            "skills_sought": ["welding"],
        }
    ],
)
HOST = a_company(
    1,
    "DE",
    "DE2",
    "25.53",
    offers=[STAY | {"capacity": 1, "skills_taught": ["welding"], "skills_needed": ["web-development"]}],
)
