"""What exchange takes from the environment besides what every service does."""

from typing import Annotated

from chassis.settings import Settings
from pydantic import Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, starter


class ExchangeSettings(Settings):
    taxonomy: Annotated[InFolder, NoDecode] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
    exchange_days: int = Field(
        1_095, ge=30, le=3_653, description="days after its end for which an exchange is kept: three years"
    )
    grant_days: int = Field(
        1_826,
        ge=0,
        le=3_653,
        description="days after a stay for which the amount granted for it is kept, whoever was erased: five years",
    )
