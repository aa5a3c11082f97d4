"""The secret in a link that somebody gets by e-mail: who knows it reads mail at that address.

It is made of the link's id and a signing key (HMAC-SHA-256) whenever it is needed, and stored nowhere. The key for it is derived
from the signing key, so that a secret tells nothing about what signs tokens.
"""

import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING
from uuid import UUID

from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode

from registration import signing

if TYPE_CHECKING:
    from registration.settings import RegistrationSettings, SigningSettings


def url(link_id: UUID, settings: "RegistrationSettings") -> str:
    """What stands in the mail. Link and secret are in the fragment, which browsers send to nobody and no log has.

    The page that it leads to posts both to ``/sessions``; that a mail scanner opens it uses nothing up.
    """
    return f"{settings.sign_in_page}#link={link_id}&secret={secret(link_id, settings)}"


def secret(link_id: UUID, settings: "SigningSettings") -> str:
    """43 characters, by the key that signs now."""
    return derived(signing.keys(settings.signing_key).signing.jwk, "link", link_id)


def proves(said: str, link_id: UUID, settings: "SigningSettings") -> bool:
    """Whether this is the link's secret, by any key that is held."""
    return deriving(said, "link", link_id, settings) is not None


def deriving(said: str, purpose: str, subject: UUID, settings: "SigningSettings") -> OKPKey | None:
    """The key, of those held, that derives this; how long that takes does not depend on what was said."""
    private = [key.jwk for key in signing.keys(settings.signing_key).held if key.jwk.is_private]
    found = [key for key in private if hmac.compare_digest(derived(key, purpose, subject).encode(), said.encode())]
    return found[0] if found else None


def derived(key: OKPKey, purpose: str, subject: UUID | str) -> str:
    """A secret of a signing key for one purpose and subject."""
    derivation = hmac.digest(
        urlsafe_b64decode(str(key.as_dict(private=True)["d"]).encode()), b"sojourn secrets", "sha256"
    )
    made = hmac.digest(derivation, f"{purpose}\n{subject}".encode(), "sha256")
    return urlsafe_b64encode(made).rstrip(b"=").decode()
