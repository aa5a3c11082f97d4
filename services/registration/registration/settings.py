"""What registration takes from the environment beside what every service does: the key that signs tokens."""

from pathlib import Path
from typing import Annotated

from chassis.settings import LogSettings, Settings
from pydantic import AfterValidator, Field, HttpUrl
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, Taxonomy, starter

from registration import signing
from registration.skill_search import search_in


def _signs(path: Path) -> Path:
    """Keys that cannot sign are found at the start, not when the first company registers."""
    signing.keys(path)
    return path


def _searched(taxonomy: Taxonomy) -> Taxonomy:
    """The search is made at the start, not while the first to type a skill waits for it."""
    search_in(taxonomy)
    return taxonomy


class SigningSettings(LogSettings):
    """What signing a token takes; ``registration token`` needs no more."""

    signing_key: Annotated[Path, AfterValidator(_signs)] = Field(
        description="file with the private key that signs tokens (a JWK, Ed25519), or a folder as `registration keys` keeps it"
    )
    token_lifetime_hours: int = Field(
        720, ge=1, le=8_760, description="hours after which a token of `registration token` is no longer valid"
    )


class RegistrationSettings(Settings, SigningSettings):
    """The settings of ``registration serve``."""

    taxonomy: Annotated[InFolder, NoDecode, AfterValidator(_searched)] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
    sign_in_page: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8000/sign-in"),
        description="the page that links in e-mails lead to; it posts link and secret, from the fragment, to /sessions",
    )
    sign_ins_per_address: int = Field(
        default=5, ge=1, le=1_000, description="links that one address can ask for in 15 minutes"
    )
    sign_ins_per_client: int = Field(
        default=30, ge=1, le=1_000_000, description="the same for one IPv4 address, or IPv6 network of 64 bits"
    )
    oidc_session_hours: int = Field(
        default=12,
        ge=1,
        le=720,
        description="hours after which who signed in by the OpenID provider has to do so again",
    )
    session_days: int = Field(
        default=30, ge=1, le=365, description="days after which who signed in by a link has to sign in again"
    )
