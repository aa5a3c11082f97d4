"""The keys of an installation, made once: registration's for tokens, with its public half for the others, and each service's for
its manifests.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import OKPKey

from laptop.postgres import private_file


@dataclass(frozen=True)
class Keys:
    """Paths of the private key and of the public key set."""

    private: Path
    public: Path


def kept_keys(folder: Path) -> Keys:
    """Those in the folder, made when there are none. Only their user reads the private one."""
    keys = Keys(folder / "signing-key.json", folder / "jwks.json")
    if not keys.private.exists():
        key = OKPKey.generate_key("Ed25519", auto_kid=True)
        keys.public.write_text(json.dumps({"keys": [key.as_dict(private=False) | {"use": "sig"}]}))
        private_file(keys.private, json.dumps(key.as_dict(private=True)))
    return keys


def kept_manifest_key(folder: Path, service: str) -> Path:
    """The private key that a service signs its manifests with, which tells the public half itself."""
    path = folder / f"manifest-key-{service}.json"
    if not path.exists():
        private_file(path, json.dumps(OKPKey.generate_key("Ed25519", auto_kid=True).as_dict(private=True)))
    return path
