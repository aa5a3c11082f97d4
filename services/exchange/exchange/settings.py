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
    grant_retention_days: int = Field(
        1_826,
        ge=0,
        le=3_653,
        description="days for which the amount granted for a stay is kept after its parties were erased: five years",
    )
