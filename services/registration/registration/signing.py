"""Signs the tokens that say who is calling, and publishes the key that they are verified with.

A token is given to a company and to its travellers when they are registered; operators and analysts get theirs from the
command ``registration token``. The private key never leaves this service, and no token is ever stored.
"""

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chassis.identity import ALGORITHM, Caller, Role, issue
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

if TYPE_CHECKING:
    from registration.settings import SigningSettings


class UnusableKey(ValueError):  # noqa: N818 - it describes the key
    """The file is not the private Ed25519 key that tokens are signed with."""


def token(caller: Caller, settings: "SigningSettings") -> str:
    """A token for this caller, from now on, by the wall clock."""
    return issue(key(settings.signing_key), caller, timedelta(hours=settings.token_lifetime_hours))


def company(company_id: UUID) -> Caller:
    """Who registered a company, as the tokens name them."""
    return Caller(Role.COMPANY_ADMIN, str(company_id), company_id=company_id)


def traveller(traveller_id: UUID) -> Caller:
    """A travelling employee, as their tokens name them. The company is left out: a traveller acts for nobody else."""
    return Caller(Role.TRAVELLER, str(traveller_id), person_id=traveller_id)


def key_set(settings: "SigningSettings") -> dict[str, Any]:
    """The public key as a JWKS document."""
    return {"keys": [{**key(settings.signing_key).as_dict(private=False), "use": "sig"}]}


@cache
def key(path: Path) -> OKPKey:
    """The private key in a file; read once, another one takes a restart.

    Raises:
        UnusableKey: there is no file, or it holds no such key.
    """
    try:
        jwk = json.loads(path.read_text())
        # Only these: what else a key's maker wrote, such as "alg" with EdDSA's former name, may contradict our use of it.
        read = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d", "kid") if name in jwk})
    except OSError:
        raise UnusableKey("should be a file that can be read") from None
    except (JoseError, ValueError, TypeError):
        raise UnusableKey("should be a JWK in a file of its own") from None
    if not (read.is_private and read.curve_name == ALGORITHM):
        raise UnusableKey(f"should be a private key for {ALGORITHM}")
    read.ensure_kid()
    return read
