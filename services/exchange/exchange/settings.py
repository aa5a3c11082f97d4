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
