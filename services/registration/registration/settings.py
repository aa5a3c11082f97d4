"""What registration takes from the environment beside what every service does: the key that signs tokens."""

import re
from pathlib import Path
from typing import Annotated, Literal

from chassis.settings import ONLY_TOLD, LogSettings, Settings
from pydantic import AfterValidator, BaseModel, EmailStr, Field, HttpUrl, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, Taxonomy, starter

from registration import programme, signing
from registration.clients.granted import granted
from registration.people.domain import Reads
from registration.skill_search import search_in

_SECURE = re.compile(r"https://[^/\s]|http://(127\.0\.0\.1|localhost|\[::1\])[:/]")


def _signs(path: Path) -> Path:
    """Keys that cannot sign are found at the start, not when the first company registers."""
    signing.keys(path)
    return path


def _searched(taxonomy: Taxonomy) -> Taxonomy:
    """The search is made at the start, not while the first to type a skill waits for it."""
    search_in(taxonomy)
    return taxonomy


def _taking_part(country: str) -> str:
    if country not in programme.COUNTRIES:
        raise ValueError("should be a country of the programme, as ISO 3166-1 alpha-2")
    return country


class ContactPoint(BaseModel):
    """Where the contact point of a country is written to, and in which language."""

    email: EmailStr
    language: Reads


def _grants(file: Path) -> Path:
    """What is wrong with it is found at the start, not when the first client asks for a token."""
    granted(file)
    return file


class SigningSettings(LogSettings):
    """What signing a token takes; ``registration token`` needs no more."""

    signing_key: Annotated[Path, AfterValidator(_signs)] = Field(
        description="file with the private key that signs tokens (a JWK, Ed25519), or a folder as `registration keys` keeps it"
    )
    token_lifetime_hours: int = Field(
        720, ge=1, le=8_760, description="hours after which a token of `registration token` is no longer valid"
    )
    grants: Annotated[Path, AfterValidator(_grants)] | None = Field(
        default=None, description="file (YAML) with what other systems may read; unset, they get no tokens"
    )


class MailSettings(LogSettings):
    """What sending e-mails takes."""

    programme_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8000"),
        description="the front end that links in e-mails lead into",
        json_schema_extra=ONLY_TOLD,
    )
    smtp_host: str = Field(default="localhost", description="mail server that takes the programme's e-mails")
    smtp_port: int = Field(default=25, ge=1, le=65_535, description="its port; usually 587 for starttls, 465 for tls")
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        default="none", description="none; starttls: encrypted from STARTTLS on; tls: from the start"
    )
    smtp_user: str | None = Field(
        default=None, description="name to sign in to the mail server with; unset, nobody does"
    )
    smtp_password: SecretStr | None = Field(default=None, description="the password for it")
    smtp_seconds: float = Field(
        default=15, ge=0.1, le=25, description="how long sending one e-mail may take before it is tried again later"
    )
    mail_from: EmailStr = Field(default="no-reply@sojourn.example", description="address that the e-mails come from")
    mail_give_up_hours: float = Field(
        default=48, ge=0, le=60, description="hours after which an e-mail that cannot be sent is parked for an operator"
    )

    contact_points: dict[Annotated[str, AfterValidator(_taking_part)], ContactPoint] = Field(
        default_factory=dict[str, ContactPoint],
        repr=False,
        description='country to its contact point, as JSON: {"DE": {"email": "...", "language": "de"}}; en, it, de or fr',
    )


class RegistrationSettings(Settings, SigningSettings, MailSettings):
    """The settings of ``registration serve``."""

    draft_days: int = Field(
        default=180, ge=1, le=3_653, description="days after which a company that was never submitted is erased"
    )
    gone_days: int = Field(
        default=730,
        ge=1,
        le=3_653,
        description="days after which a company is erased that left, was rejected or excluded",
    )
    sign_in_days: int = Field(
        default=7, ge=0, le=365, description="days for which links and sessions are kept that are over"
    )
    notice_days: int = Field(
        default=180,
        ge=1,
        le=3_653,
        description="days for which is kept who was told what, and what became of the e-mail",
    )

    vies_url: HttpUrl | None = Field(
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
    vies_cache_days: int = Field(
        default=7, ge=1, le=365, description="days for which what VIES said about a number is not asked again"
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
    sign_ins_per_address: int = Field(
        default=5, ge=1, le=1_000, description="links that one address can ask for in 15 minutes"
    )
    sign_ins_per_client: int = Field(
        default=30, ge=1, le=1_000_000, description="the same for one IPv4 address, or IPv6 network of 64 bits"
    )
    tokens_per_address: int = Field(
        default=120,
        ge=1,
        le=1_000_000,
        description="tokens that clients at one IPv4 address, or IPv6 network of 64 bits, can ask for in 15 minutes",
    )
    session_days: int = Field(
        default=30, ge=1, le=365, description="days after which who signed in by a link has to sign in again"
    )
    oidc_client_id: str | None = Field(default=None, description="what the OpenID provider calls this service")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="what it knows the service by; unset, the service is a public client"
    )
    oidc_redirect_url: HttpUrl | None = Field(
        default=None,
        json_schema_extra=ONLY_TOLD,
        description="where the provider sends people back: /sign-in/oidc/callback here, as they see it",
    )
    oidc_roles: dict[str, Literal["contact_point", "operator", "analyst", "evaluator"]] = Field(
        default_factory=dict[str, Literal["contact_point", "operator", "analyst", "evaluator"]],
        description="the provider's roles or groups to ours, as JSON; who has several gets the first",
    )
    oidc_role_claim: str = Field(
        default="roles", description="the claim of the id token with roles or groups; dots lead into it"
    )
    oidc_country_claim: str = Field(default="country", description="the claim with a contact point's country")
    oidc_scopes: str = Field(default="openid", description="scopes that are asked for, separated by spaces")
    oidc_session_hours: int = Field(
        default=12, ge=1, le=720, description="hours after which who signed in by the provider has to do so again"
    )
    # After all that it needs.
    oidc_issuer: str | None = Field(
        default=None, description="the OpenID provider of operators, analysts and contact points; unset, there is none"
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _complete(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        if issuer is None:
            return None
        if not _SECURE.match(issuer):
            raise ValueError("should begin with https://, or http:// on this machine")
        needed = ("oidc_client_id", "oidc_redirect_url", "oidc_roles")
        if missing := [name.upper() for name in needed if not info.data.get(name)]:
            raise ValueError(f"should have with it {', '.join(missing)}")
        return issuer
