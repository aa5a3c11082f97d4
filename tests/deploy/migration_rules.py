"""What a migration must not do while the former release runs: squawk's rules, and that an exception to one says why.

``docs/upgrades.md`` has the rules in words.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NOT_OURS = (
    "prefer-bigint-over-int",
    "prefer-text-field",
    "prefer-robust-stmts",  # a file is one transaction, and is tried again as a whole
    "require-lock-timeout",  # the command sets it
    "require-statement-timeout",  # a table may be large
)
_APPLY = re.compile(r"^-- migrate: apply$(?P<sql>.*?)^-- migrate: rollback$", re.DOTALL | re.MULTILINE)
_EXCEPTION = re.compile(r"^-- squawk-ignore", re.MULTILINE)
_WITH_A_REASON = re.compile(r"^-- (contract|brief): \S.*\n(-- (?!squawk).*\n)*-- squawk-ignore (?!$)", re.MULTILINE)


def broken_rules(migration: str) -> Iterator[str]:
    """Names of the rules that the file's first half breaks; ``no-reason`` for an exception without one."""
    found = _APPLY.search(migration)
    assert found, "a migration has both halves"
    transaction = "-- transaction: false" not in migration.partition("-- migrate: apply")[0]
    command = [
        str(Path(sys.executable).with_name("squawk")),
        *(
            "--reporter",
            "json",
            "--pg-version",
            "16",
            "--stdin-filepath",
            "migration.sql",
            "--exclude",
            ",".join(NOT_OURS),
        ),
        *(["--assume-in-transaction"] if transaction else []),
    ]
    told = subprocess.run(command, input=found["sql"], capture_output=True, text=True)
    assert told.stdout.startswith("["), told.stderr
    yield from (each["rule_name"] for each in json.loads(told.stdout))
    if len(_EXCEPTION.findall(migration)) != len(_WITH_A_REASON.findall(migration)):
        yield "no-reason"
