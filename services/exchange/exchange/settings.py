"""What exchange takes from the environment besides what every service does."""

from typing import Annotated

from chassis.settings import ONLY_TOLD, Settings
from pydantic import AfterValidator, Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, starter

from exchange import rate_table
from exchange.agreement import Rules
from exchange.payments.domain import PaymentRules


def _countries(text: str) -> str:
    codes = text.split()
    if not all(len(code) == 2 and code.isascii() and code.isalpha() and code.isupper() for code in codes):
        raise ValueError("should be ISO 3166-1 alpha-2 codes, separated by spaces")
    return text


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    return url


class ExchangeSettings(Settings):
    taxonomy: Annotated[InFolder, NoDecode] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
    exchange_days: int = Field(
        1_095, ge=30, le=3_653, description="days after its end for which an exchange is kept: three years"
    )
    payment_days: int = Field(
        1_826,
        ge=0,
        le=3_653,
        description="days after it fell due for which a payment is kept whose exchange is forgotten: five years",
    )
    validating_countries: Annotated[str, AfterValidator(_countries)] = Field(
        default="",
        description="countries whose contact points validate agreements: codes separated by spaces; unset, none",
    )
    most_sent: int = Field(default=2, ge=1, le=1_000, description="people that a company sends at a time, at most")
    allowances: Annotated[rate_table.InFile, NoDecode] = Field(
        default_factory=rate_table.starter,
        description="file with the monthly rates of allowance; unset, the starter table",
    )
    advance_percent: int = Field(
        default=80, ge=0, le=100, description="share of the agreed allowance that is paid before the stay"
    )
    advance_days_ahead: int = Field(
        default=14, ge=0, le=90, description="days before the first day on which the advance falls due"
    )
    final_payment_days: int = Field(
        default=30, ge=2, le=365, description="days after the end was reported on which the rest falls due"
    )
    certificates_url: Annotated[str, AfterValidator(_http)] | None = Field(
        default=None,
        json_schema_extra=ONLY_TOLD,
        description="public URL under which certificates are verified, as printed on them: .../certificates",
    )

    @property
    def rules(self) -> Rules:
        """What agreements are held to."""
        return Rules(self.taxonomy.skills, self.allowances, frozenset(self.validating_countries.split()))

    @property
    def payment_rules(self) -> PaymentRules:
        """What payments are reckoned by."""
        return PaymentRules(self.advance_percent, self.advance_days_ahead, self.final_payment_days)
