"""The files of alerts, and Prometheus' own tool for them."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
ALERTS = {path.stem: path for path in sorted((MONITORING / "alerts").glob("*.yaml"))}
ABOVE = re.compile(r"> (\d+)\s*$")
"""How the expression of every alert on a threshold ends."""

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None,
    reason="promtool is not there, so NO ALERT IS TESTED: it comes with Prometheus (Debian: apt-get install prometheus)",
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def rules_of(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def sooner(path: Path, wait: str = "0s", above: float | None = None) -> str:
    """The file of an alert that fires after ``wait``; above this value, where it is one on a threshold and that is given.

    For a fault that is to make it fire while a test waits.
    """
    alerts = yaml.safe_load(path.read_text())
    for group in alerts["groups"]:
        for rule in group["rules"]:
            rule["for"] = wait
            if above is not None:
                rule["expr"], found = ABOVE.subn(f"> {above}", rule["expr"])
                assert found, f"{path.name} is no alert on a threshold"
    return yaml.safe_dump(alerts)


def unit_tests(names: Iterable[str], folder: Path, alerts: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the unit tests of these alerts as they would be with other files of rules."""
    for kind in ("alerts", "tests"):
        (folder / kind).mkdir()
    for name in names:
        (folder / "alerts" / f"{name}.yaml").write_text(alerts[name])
        shutil.copy(MONITORING / "tests" / f"{name}.yaml", folder / "tests")
    return promtool("test", "rules", *sorted((folder / "tests").iterdir()))
