"""What a stay is supported with: the rates, their file, and exact arithmetic."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from chassis.settings import SettingsError, load
from exchange import rate_table
from exchange.allowances import Period, Rates, rounded
from exchange.settings import ExchangeSettings
from hypothesis import given as forall
from hypothesis import strategies as st

from tests.exchange import given
from tests.exchange.given import FIRST

DAY = timedelta(days=1)
CHANGE = date(2026, 5, 10)
TWO_PERIODS = Rates("t", "test", (Period(date(2026, 1, 1), {"DK": 3_000}, 100), Period(CHANGE, {"DK": 6_001}, 200)))


def days(count: int, first: date = FIRST) -> list[date]:
    return [first + number * DAY for number in range(count)]


@pytest.mark.parametrize(
    ("country", "count", "cents"),
    [("DK", 30, 110_000), ("DK", 14, 51_333), ("DK", 28, 102_667), ("BG", 14, 28_000), ("BR", 30, 53_000)],
)
def test_a_day_is_worth_a_thirtieth_of_the_starter_tables_month(country: str, count: int, cents: int):
    assert rate_table.starter().allowance_cents(country, days(count)) == cents


def test_the_starter_table_keeps_within_what_its_source_says():
    (period,) = rate_table.starter().periods
    assert "https://mobilise-sme.eu/financial-support/" in rate_table.starter().source
    assert {min(period.monthly_cents.values()), max(period.monthly_cents.values())} == {60_000, 110_000}
    assert period.elsewhere_cents == 53_000


def test_each_day_is_paid_by_the_rate_valid_on_it():
    assert [TWO_PERIODS.monthly_cents("DK", day) for day in (CHANGE - DAY, CHANGE)] == [3_000, 6_001]
    assert TWO_PERIODS.allowance_cents("DK", [CHANGE - DAY, CHANGE]) == 300  # 9001 thirtieths: 300.03
    assert TWO_PERIODS.allowance_cents("IS", [CHANGE - DAY, CHANGE]) == 10


def test_the_first_rates_hold_for_the_days_before_them_too():
    assert TWO_PERIODS.monthly_cents("DK", date(2016, 1, 1)) == 3_000


def test_half_a_cent_is_rounded_up_and_less_is_not():
    assert [rounded(dividend, 30) for dividend in (14, 15, 44, 45)] == [0, 1, 1, 2]


@forall(st.integers(0, 10**12), st.integers(1, 10**6))
def test_rounding_is_the_exact_quotients_half_up(dividend: int, divisor: int):
    assert abs(Fraction(dividend, divisor) - rounded(dividend, divisor)) <= Fraction(1, 2)
    assert rounded(2 * divisor * dividend + divisor, 2 * divisor) == dividend + 1


RATES = st.integers(0, 500_000)
COUNTS = st.integers(0, 62)


@forall(RATES, RATES, st.integers(-70, 70), COUNTS)
def test_more_days_are_never_worth_less_and_nothing_drifts(before: int, after: int, change: int, count: int):
    rates = Rates(
        "t", "", (Period(date(2026, 1, 1), {"DK": before}, 0), Period(FIRST + change * DAY, {"DK": after}, 0))
    )
    stay = days(count)
    total = rates.allowance_cents("DK", stay)
    exact = sum((Fraction(rates.monthly_cents("DK", day), 30) for day in stay), Fraction(0))
    assert abs(total - exact) <= Fraction(1, 2)
    assert total <= rates.allowance_cents("DK", days(count + 1))


def test_a_version_of_the_agreement_has_the_allowance_of_all_of_its_parts():
    split = given.terms((date(2026, 5, 4), date(2026, 5, 17)), (date(2026, 6, 1), date(2026, 6, 14)))
    assert given.drafted(split).drafted.allowance_cents == 102_667
    assert given.drafted().drafted.allowance_cents == 102_667


GOOD = """
version = "2027"
source = "the programme's decision of December 2026"

[[periods]]
valid_from = 2016-01-01
elsewhere_eur = 530.5
[periods.monthly_eur]
DK = 1100.01

[[periods]]
valid_from = 2027-01-01
elsewhere_eur = 540
[periods.monthly_eur]
"""


def table(folder: Path, text: str) -> Path:
    file = folder / "rates.toml"
    file.write_text(text)
    return file


def test_a_file_is_read_to_the_cent(tmp_path: Path):
    rates = rate_table.read(table(tmp_path, GOOD))
    assert rates.version == "2027"
    assert [period.valid_from for period in rates.periods] == [date(2016, 1, 1), date(2027, 1, 1)]
    assert rates.monthly_cents("DK", date(2026, 12, 31)) == Decimal("110001")
    assert rates.monthly_cents("DK", date(2027, 1, 1)) == 54_000
    assert rates.monthly_cents("SE", date(2026, 1, 1)) == 53_050


@pytest.mark.parametrize(
    ("wrong", "by", "said"),
    [
        ("1100.01", "1100.015", "periods.0.monthly_eur.DK"),
        ("1100.01", "-1", "periods.0.monthly_eur.DK"),
        ("1100.01", "nan", "periods.0.monthly_eur.DK"),
        ("1100.01", '"much"', "periods.0.monthly_eur.DK"),
        ("DK =", "Denmark =", "periods.0.monthly_eur.Denmark"),
        ("2027-01-01", "2015-01-01", "in the order of their first days"),
        ("elsewhere_eur = 540", "", "periods.1.elsewhere_eur"),
        ("elsewhere_eur = 540", "elsewhere = 540", "periods.1.elsewhere"),
        ('version = "2027"', 'version = ""', "version"),
        ("[[periods]]", "[[period]]", "period"),
        ("source =", "source", "is no table of rates"),
    ],
)
def test_a_fault_in_the_file_is_named(tmp_path: Path, wrong: str, by: str, said: str):
    with pytest.raises(ValueError, match=r"is no table of rates") as fault:
        rate_table.read(table(tmp_path, GOOD.replace(wrong, by)))
    assert said in str(fault.value)


def test_the_setting_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://exchange@db/sojourn")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("JWKS", "jwks.json")
    assert load(ExchangeSettings).rules.rates is rate_table.starter()
    monkeypatch.setenv("ALLOWANCES", str(table(tmp_path, GOOD)))
    assert load(ExchangeSettings).rules.rates.version == "2027"
    for wrong in (tmp_path / "nowhere.toml", tmp_path):
        monkeypatch.setenv("ALLOWANCES", str(wrong))
        with pytest.raises(SettingsError, match="ALLOWANCES: is no table of rates"):
            load(ExchangeSettings)
