"""The file with the monthly rates; ``docs/allowance.md`` says what stands in it."""

import tomllib
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from sojourn_contracts.vocabulary import Country

from exchange.allowances import Period, Rates

Euros = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=2)]


class _Listed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Period(_Listed):
    valid_from: date
    elsewhere_eur: Euros
    monthly_eur: dict[Country, Euros]

    @property
    def rates(self) -> Period:
        monthly_cents = {country: _cents(euros) for country, euros in self.monthly_eur.items()}
        return Period(self.valid_from, monthly_cents, _cents(self.elsewhere_eur))


class _Table(_Listed):
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    source: Annotated[str, Field(min_length=1)]
    periods: Annotated[list[_Period], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if any(later.valid_from <= earlier.valid_from for earlier, later in pairwise(self.periods)):
            raise ValueError("periods have to stand in the order of their first days, one for each")
        return self


def read(file: Path) -> Rates:
    """The table in a file.

    Raises:
        ValueError: with every fault of it.
    """
    try:
        table = _Table.model_validate(tomllib.loads(file.read_text("utf-8"), parse_float=Decimal))
    except ValidationError as wrong:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'the table'}: {fault['msg']}" for fault in wrong.errors())
        raise ValueError("is no table of rates:\n" + "\n".join(faults)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is no table of rates: {error}") from None
    return Rates(table.version, table.source.strip(), tuple(period.rates for period in table.periods))


@cache
def starter() -> Rates:
    """The table that ships with the service."""
    return read(Path(__file__).with_name("allowances.toml"))


def _of(value: Any) -> Rates:
    return value if isinstance(value, Rates) else read(Path(value))


def _cents(euros: Decimal) -> int:
    return int(euros * 100)


InFile = Annotated[Rates, PlainValidator(_of)]
"""A field that is given as a file's path and is the table of rates in it."""
