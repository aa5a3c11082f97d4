import json
import subprocess
import sys

ANALYSIS_STACK = {"altair", "duckdb", "polars", "pyarrow", "pyiceberg", "pyreadstat", "sqlalchemy", "vl_convert"}


def test_what_serves_does_not_load_the_analysis_stack():
    program = "import json, sys, survey.command, chassis.service; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert "survey.evaluation.api" in loaded
    assert ANALYSIS_STACK.isdisjoint(loaded)
    assert not [name for name in loaded if name.startswith(("survey.sink", "survey.analysis"))]
