"""`pilot demo` with parameters that cannot be: a clear line, and nothing started."""

from pathlib import Path

import pytest
from pilot.main import command
from typer.testing import CliRunner


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COMPANIES", "0", "0 is not in the range 1<=x<=100000"),
        ("COMPANIES", "many", "'many' is not a valid integer"),
        ("SEED", "x", "'x' is not a valid integer"),
        ("UNTIL", "2016-10-31", "2016-10-31 is not after the programme's start, 2016-11-01"),
        ("UNTIL", "soon", "'soon' does not match the format '%Y-%m-%d'"),
    ],
)
def test_impossible_parameters_end_with_a_clear_line(tmp_path: Path, name: str, value: str, said: str):
    folder = tmp_path / "demo"
    result = CliRunner().invoke(command, ["demo", "--folder", str(folder)], env={name: value})
    assert result.exit_code == 2
    assert said in result.output
    assert name in result.output
    assert not folder.exists()
