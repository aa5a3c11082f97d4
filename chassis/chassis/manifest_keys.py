"""The key that a service signs its manifests with, and its former ones: public halves that old manifests are verified by."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from sojourn_contracts.manifest import ALGORITHM


@dataclass(frozen=True)
class ManifestKeys:
    """The first one signs; all of them are told."""

    keys: tuple[OKPKey, ...]

    @property
    def signing(self) -> OKPKey:
        return self.keys[0]

    def document(self, source: str) -> dict[str, Any]:
        """The public halves, as a JSON Web Key Set that says of each whose manifests it signs."""
        own = {"use": "sig", "alg": ALGORITHM, "source": source}
        return {"keys": [key.as_dict(private=False) | own for key in self.keys]}


def read(path: Path) -> ManifestKeys:
    """The keys of a file: a private JWK, or a JWK set whose first key is private; keys without a ``kid`` get their thumbprint.

    Raises:
        ValueError: it is not that; the text says what is wrong, and nothing of the file.
    """
    try:
        said = json.loads(path.read_bytes())
        listed = cast("list[dict[str, Any]]", said.get("keys", [said]))
        keys = tuple(OKPKey.import_key(each) for each in listed)
    except OSError:
        raise ValueError("there is no such file, or it cannot be read") from None
    except (JoseError, ValueError, TypeError, AttributeError, LookupError):
        raise ValueError("should be a JSON Web Key, or a set of them") from None
    if not keys or not keys[0].is_private or any(key.curve_name != ALGORITHM for key in keys):
        raise ValueError("should be keys for Ed25519, the first one private")
    for key in keys:
        key.ensure_kid()
    if len({key.kid for key in keys}) != len(keys):
        raise ValueError("should be keys with names of their own")
    return ManifestKeys(keys)
