"""The code of the former release, with its own libraries, from the history."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
NAMED_IN = REPOSITORY / "deploy" / "upgrades" / "former.toml"
SERVICES = ("registration", "matching", "exchange", "survey")


@dataclass(frozen=True)
class Former:
    """Where it is."""

    tree: Path

    @property
    def programs(self) -> Path:
        """The folder of its commands."""
        return self.tree / ".venv" / "bin"

    @property
    def migrations(self) -> set[str]:
        """All that it knows of, as ``service/name``."""
        found = self.tree.glob("services/*/*/migrations/*.sql")
        own = {f"{file.parents[1].name}/{file.stem}" for file in found}
        chassis = [file.stem for file in (self.tree / "chassis" / "chassis" / "migrations").glob("*.sql")]
        return own | {f"{service}/{name}" for service in SERVICES for name in chassis}


def named() -> dict[str, Any]:
    """Its ``commit``, and the last of its ``migrations`` by service."""
    return tomllib.loads(NAMED_IN.read_text())


def later_migrations() -> list[Path]:
    """Those that this code has and the former release lacks."""
    last = named()["migrations"]
    files = [*REPOSITORY.glob("chassis/chassis/migrations/*.sql"), *REPOSITORY.glob("services/*/*/migrations/*.sql")]
    return sorted(file for file in files if file.stem > last[file.parents[1].name])


def former_release() -> Former:
    """Kept in ``build``: it is made once. Without the history, or without its libraries, the test is skipped."""
    commit = named()["commit"]
    tree = REPOSITORY / "build" / "former" / commit
    if not (tree / "complete").exists():
        _make(commit, tree)
    return Former(tree)


def _make(commit: str, tree: Path) -> None:
    history = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True)
    if history.returncode != 0:
        pytest.skip(f"NO UPGRADE IS TESTED: THE HISTORY LACKS {commit[:12]}: {history.stderr.decode().strip()[:200]}")
    shutil.rmtree(tree, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(history.stdout)) as archive:
        archive.extractall(tree, filter="data")
    packages = [option for service in SERVICES for option in ("--package", service)]
    sync = [_uv(), "sync", "--locked", "--no-dev", "--quiet", "--python", sys.executable, *packages]
    made = subprocess.run(sync, cwd=tree, capture_output=True, env=_environment())
    if made.returncode != 0:
        pytest.skip(f"NO UPGRADE IS TESTED: THE FORMER LIBRARIES ARE NOT TO BE HAD: {made.stderr.decode()[-300:]}")
    compiled(tree / ".venv" / "bin")
    (tree / "complete").touch()


def compiled(programs: Path) -> None:
    """Everything is compiled once, rather than by each of the processes that start together: matching takes a minute."""
    imports = ", ".join(f"{service}.main" for service in SERVICES)
    compiling = f"import {imports}; from matching.index.compilation import compile_all; compile_all()"
    subprocess.run([programs / "python", "-c", compiling], check=True, env=_environment())


def _uv() -> str:
    own = REPOSITORY / ".tools" / "bin" / "uv"
    return str(own) if own.exists() else "uv"


def _environment() -> dict[str, str]:
    ours = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in ours}
