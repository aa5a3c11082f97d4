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


def _is_http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    return url


class RegistrationSettings(Settings, SigningSettings):
    """The settings of ``registration serve``."""

    vies_url: Annotated[str, AfterValidator(_is_http)] | None = Field(
        default=None,
        description="the Union's VAT register, https://ec.europa.eu/taxation_customs/vies/rest-api; unset, it is not asked",
    )
    vies_timeout_seconds: float = Field(
        default=10, gt=0, le=25, description="how long VIES has to answer one look, attempts included"
    )
    vies_pause_seconds: float = Field(
        default=60, gt=0, le=3_600, description="until VIES is asked again after it was away; doubles up to an hour"
    )
    vies_patience_hours: float = Field(
        default=72, ge=0, le=720, description="hours without an answer of VIES after which a contact point decides"
    )
    vies_cache_hours: int = Field(
        default=168, ge=1, le=8_760, description="hours for which what VIES said about a number is not asked again"
    )
    interest_days: int = Field(
        default=365, ge=1, le=3_650, description="days after which a company is asked whether it is still interested"
    )
    interest_answer_days: int = Field(
        default=30, ge=1, le=365, description="days that it has to say so before its placements and offers close"
    )

    taxonomy: Annotated[InFolder, NoDecode, AfterValidator(_searched)] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
