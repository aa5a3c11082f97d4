"""`pilot demo` with parameters that cannot be: a clear line, and nothing started."""

from pathlib import Path

import pytest
from pilot.main import command
from typer.testing import CliRunner


@pytest.mark.parametrize(
    ("name", "value"),
    [("COMPANIES", "0"), ("COMPANIES", "many"), ("SEED", "x"), ("UNTIL", "2016-10-31"), ("UNTIL", "soon")],
)
def test_impossible_parameters_end_with_a_clear_line(tmp_path: Path, name: str, value: str):
    folder = tmp_path / "demo"
    result = CliRunner().invoke(command, ["demo", "--folder", str(folder)], env={name: value})
    assert result.exit_code == 2
    line = result.output.strip().splitlines()[-1]
    assert line.startswith("Error: Invalid value for")
    assert name in line
    assert not folder.exists()
