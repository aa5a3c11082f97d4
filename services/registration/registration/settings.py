"""What registration takes from the environment beside what every service does: the key that signs tokens."""

from pathlib import Path
from typing import Annotated

from chassis.settings import LogSettings, Settings
from pydantic import AfterValidator, Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, Taxonomy, starter

from registration import signing
from registration.skill_search import search_in


def _signs(path: Path) -> Path:
    """A key that cannot sign is found at the start, not when the first company registers."""
    signing.key(path)
    return path


def _searched(taxonomy: Taxonomy) -> Taxonomy:
    """The search is made at the start, not while the first to type a skill waits for it."""
    search_in(taxonomy)
    return taxonomy


class SigningSettings(LogSettings):
    """What signing a token takes; ``registration token`` needs no more."""

    signing_key: Annotated[Path, AfterValidator(_signs)] = Field(
        description="file with the private key that signs tokens: a JWK, Ed25519; registration alone has it"
    )
    token_lifetime_hours: int = Field(
        720, ge=1, le=8_760, description="hours of the wall clock after which a token is no longer valid"
    )


class RegistrationSettings(Settings, SigningSettings):
    """The settings of ``registration serve``."""

    taxonomy: Annotated[InFolder, NoDecode, AfterValidator(_searched)] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
