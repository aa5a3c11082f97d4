"""Who installs ``sojourn-contracts`` has the contract's files, byte by byte as they stand in this repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sojourn_contracts import shipped

from tests.conftest import REPOSITORY

CONTRACTS = REPOSITORY / "contracts"
NAMES = ("asyncapi.yaml", "index.html", "published", "examples")
UV = os.environ.get("UV") or shutil.which("uv") or str(REPOSITORY / ".tools" / "bin" / "uv")


def below(folder: Path) -> dict[str, bytes]:
    paths = [
        each
        for name in NAMES
        for each in ((folder / name).rglob("*") if (folder / name).is_dir() else (folder / name,))
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel has that was built from a source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run([UV, "build", "--out-dir", folder, CONTRACTS], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_has_all_files_of_the_contract_as_they_are_here(installed: Path):
    wanted = below(CONTRACTS)
    assert len(wanted) > 30
    assert below(installed / "sojourn_contracts") == wanted


def test_who_has_installed_the_wheel_is_told_where_they_are(installed: Path):
    code = "from sojourn_contracts import shipped; print(shipped.FOLDER)"
    path = {"PYTHONPATH": str(installed)}  # before what is developed here
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=installed, env=os.environ | path, capture_output=True, text=True, check=True
    )
    assert Path(said.stdout.strip()) == installed / "sojourn_contracts"


def test_who_works_on_the_contract_is_told_the_place_beside_the_package():
    assert Path(str(shipped.FOLDER)) == CONTRACTS
