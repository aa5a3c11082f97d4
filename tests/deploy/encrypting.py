"""Certificates that tests sign themselves, and a PostgreSQL that encrypts: the one of the Python package was built without."""

import io
import os
import platform
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jgo
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from laptop.ports import HOST

POSTGRES = "18.0.0"
"""Of Zonky's binaries, at Maven Central."""


def binaries(folder: Path) -> Path:
    """PostgreSQL's programs, unpacked into the folder."""
    system = {"Linux": "linux", "Darwin": "darwin"}[platform.system()]
    machine = {"x86_64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}[platform.machine()]
    built = jgo.build(f"io.zonky.test.postgres:embedded-postgres-binaries-{system}-{machine}:{POSTGRES}")
    (jar,) = built.path.rglob(f"embedded-postgres-binaries-*-{POSTGRES}.jar")
    with zipfile.ZipFile(jar) as packed:
        (name,) = [name for name in packed.namelist() if name.endswith(".txz")]
        with tarfile.open(fileobj=io.BytesIO(packed.read(name)), mode="r:xz") as files:
            files.extractall(folder, filter="data")
    return folder / "bin"


def replaced(file: Path, text: str | bytes, owner: tuple[int, int] | None = None) -> None:
    """In one step, as a mounted Secret is: nobody reads half of it."""
    beside = file.with_name(f".{file.name}")
    beside.write_bytes(text if isinstance(text, bytes) else text.encode())
    beside.chmod(0o600)
    if owner is not None:
        os.chown(beside, *owner)
    beside.replace(file)


class Authority:
    """Signs certificates."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    @property
    def certificate(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def signed(self, name: str = HOST, *, expired: bool = False) -> tuple[bytes, bytes]:
        """A key, as Kafka takes it (PKCS #8), and a certificate for it."""
        now = datetime.now(UTC)
        until = now - timedelta(minutes=1) if expired else now + timedelta(days=1)
        # Kafka takes a new one while it runs if that is for the same name.
        leaf = self._ca.issue_cert(
            name, organization_unit_name=name, not_before=now - timedelta(days=2), not_after=until
        )
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        return (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            leaf.cert_chain_pems[0].bytes(),
        )
