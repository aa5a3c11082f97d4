"""Who takes part, as weights: ASSUMPTIONS, but for the counts of countries and sectors and the wish to send or to host.

The pilot had companies from 16 countries and 23 sectors; which ones, and how many from each, was not published. Its
demand survey of 2016 found 65% who would host and 59% who would send: at least 24% both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Land:
    """A country of the programme: its share of the companies, NUTS 1 regions and the languages of its business."""

    weight: int
    regions: tuple[str, ...]
    languages: tuple[str, ...]


COUNTRIES: dict[str, Land] = {
    "ES": Land(16, ("ES1", "ES2", "ES3", "ES5", "ES6"), ("es",)),
    "IT": Land(14, ("ITC", "ITF", "ITH", "ITI"), ("it",)),
    "DE": Land(9, ("DE1", "DE2", "DE3", "DE6", "DEA"), ("de",)),
    "FR": Land(8, ("FR1", "FRH", "FRK", "FRL"), ("fr",)),
    "PL": Land(8, ("PL2", "PL4", "PL6", "PL9"), ("pl",)),
    "PT": Land(7, ("PT1",), ("pt",)),
    "RO": Land(6, ("RO1", "RO3", "RO4"), ("ro",)),
    "BE": Land(6, ("BE1", "BE2", "BE3"), ("nl", "fr")),
    "BG": Land(5, ("BG3", "BG4"), ("bg",)),
    "HR": Land(4, ("HR0",), ("hr",)),
    "SI": Land(4, ("SI0",), ("sl",)),
    "HU": Land(3, ("HU1", "HU2"), ("hu",)),
    "AT": Land(3, ("AT1", "AT2", "AT3"), ("de",)),
    "LT": Land(3, ("LT0",), ("lt",)),
    "CY": Land(2, ("CY0",), ("el",)),
    "MT": Land(2, ("MT0",), ("mt", "en")),
}

SECTORS: dict[str, int] = {
    "62.10": 12,  # computer programming
    "70.20": 10,  # business consultancy
    "85.59": 7,  # education
    "73.11": 7,  # advertising
    "46.39": 6,  # wholesale of food
    "71.12": 6,  # engineering
    "10.89": 5,  # food products
    "79.12": 5,  # tour operators
    "55.10": 5,  # hotels
    "74.12": 4,  # graphic design
    "69.20": 4,  # accounting
    "25.53": 4,  # machining of metals
    "28.99": 3,  # special machinery
    "31.00": 3,  # furniture
    "14.10": 3,  # apparel
    "43.32": 3,  # joinery
    "63.10": 3,  # hosting and data processing
    "72.10": 2,  # research and development
    "26.51": 2,  # instruments
    "22.26": 2,  # plastic products
    "58.11": 2,  # publishing
    "47.71": 2,  # retail of clothing
    "35.12": 2,  # renewable electricity
}
"""NACE Rev. 2.1 class to weight; each is a division of its own."""

SIZE_CLASSES: dict[str, int] = {"micro": 45, "small": 33, "medium": 17, "large": 5}
"""A large company may only host."""
STAFF: dict[str, tuple[int, int]] = {"micro": (2, 9), "small": (10, 49), "medium": (50, 249), "large": (260, 2_000)}
TURNOVER: dict[str, tuple[int, int]] = {
    "micro": (100_000, 2_000_000),
    "small": (1_000_000, 10_000_000),
    "medium": (5_000_000, 43_000_000),
    "large": (60_000_000, 400_000_000),
}
"""EUR; the balance sheet is drawn from the same."""
LARGE = {"headcount": 400, "turnover": 80_000_000, "balance_sheet": 60_000_000}
UNDECLARED, IN_A_GROUP, GROWN = 0.1, 0.04, 0.05
"""Shares of companies that forget the declaration, belong to a large group, or were an SME until last year."""

NUMBERED = 0.35
"""Share of companies that give a VAT number."""
UNKNOWN_TO_VIES = 0.08
"""Share of these whose first number is mistyped into one that is well formed, and that the register does not know."""
ONE_PERSON = 0.1
"""Share of micro companies that are one person; they need a number."""
UNNUMBERED = 0.25
"""Share of these that give none at first."""
VAT_NUMBERS: dict[str, str] = {
    "AT": "ATU########",
    "BE": "BE0#########",
    "BG": "BG#########",
    "CY": "CY1#######@",
    "DE": "DE#########",
    "ES": "ESB########",
    "FR": "FR###########",
    "HR": "HR###########",
    "HU": "HU########",
    "IT": "IT#######010#",
    "LT": "LT#######1#",
    "MT": "MT########",
    "PL": "PL##########",
    "PT": "PT5########",
    "RO": "RO########",
    "SI": "SI########",
}
"""The shape of a country's numbers: # is a digit, @ a letter; among those drawn, the right ones are found by python-stdnum."""

LOOKING = 0.62
"""Share of companies that register to see who is there, and name no placement or offer: of the pilot's 400, few went so far
that 54 exchanges took place."""
WISHES: dict[str, int] = {"host": 41, "send": 35, "both": 24}
PLACEMENTS: dict[int, int] = {1: 85, 2: 15}
"""The pilot allowed a company two travellers at most."""
OFFERS: dict[int, int] = {1: 92, 2: 8}
CAPACITY: dict[int, int] = {1: 60, 2: 28, 3: 12}

STAYS: dict[int, int] = {14: 30, 30: 40, 45: 12, 60: 18}
"""Days wished for: the pilot's four durations."""

ENGLISH: dict[str, int] = {"": 12, "A2": 8, "B1": 22, "B2": 34, "C1": 24}
"""How well English is spoken where it is not the language of the country; "" is not at all."""
FURTHER_LANGUAGE = 0.25
"""Share that speaks one more of the programme's languages, at B1 or B2."""


def drawn(weights: Mapping[T, int], by: Random) -> T:
    """One of the keys, by weight."""
    return by.choices(list(weights), list(weights.values()))[0]


def several(weights: Mapping[T, int], count: int, by: Random) -> list[T]:
    """So many different keys, by weight, in the order drawn."""
    left = dict(weights)
    taken: list[T] = []
    for _ in range(min(count, len(left))):
        taken.append(drawn(left, by))
        del left[taken[-1]]
    return taken


def skewed(items: Sequence[T]) -> dict[T, int]:
    """Weights that fall as in Zipf's law: a few are wanted by many."""
    return {item: max(1, round(1000 / rank)) for rank, item in enumerate(items, start=1)}
