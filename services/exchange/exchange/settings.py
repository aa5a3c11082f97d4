"""What exchange takes from the environment besides what every service does."""

from typing import Annotated

from chassis.settings import Settings
from pydantic import AfterValidator, Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, starter

from exchange.agreement import Rules


def _countries(text: str) -> str:
    codes = text.split()
    if not all(len(code) == 2 and code.isascii() and code.isalpha() and code.isupper() for code in codes):
        raise ValueError("should be ISO 3166-1 alpha-2 codes, separated by spaces")
    return text


class ExchangeSettings(Settings):
    taxonomy: Annotated[InFolder, NoDecode] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
    validating_countries: Annotated[str, AfterValidator(_countries)] = Field(
        default="",
        description="countries whose contact points validate agreements: codes separated by spaces; unset, none",
    )
    most_sent: int = Field(default=2, ge=1, le=1_000, description="people that a company sends at a time, at most")

    @property
    def rules(self) -> Rules:
        """What agreements are held to."""
        return Rules(self.taxonomy.skills, frozenset(self.validating_countries.split()))
