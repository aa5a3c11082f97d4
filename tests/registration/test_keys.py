"""Signing keys that rotate: published before they sign, kept until nothing that they signed is valid, re-read as they change."""

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.identity import Caller, KeySource, Role
from exchange.main import service as exchange
from joserfc import jws
from joserfc.jwk import OKPKey
from registration import keys, signing
from registration.main import command, service
from registration.people import links
from registration.settings import SigningSettings
from typer.testing import CliRunner

from tests.conftest import Driving

OPERATOR = Caller(Role.OPERATOR, "operator")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture(autouse=True)
def reread_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signing, "REREAD", 0.0)


def settings(path: Path) -> SigningSettings:
    return SigningSettings(signing_key=path)


def run(*arguments: object, status: int = 0) -> list[dict[str, Any]]:
    outcome = CliRunner().invoke(command, ["keys", *map(str, arguments)])
    assert outcome.exit_code == status, outcome.output
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def kid(token: str) -> str:
    return jws.extract_compact(token.encode()).headers()["kid"]


def published(by: SigningSettings) -> list[str]:
    return [key["kid"] for key in signing.key_set(by)["keys"]]


def test_the_first_key_signs_at_once_and_the_next_one_a_quarter_of_an_hour_after_it_is_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    [first] = run("new", folder)
    by = settings(folder)
    assert kid(signing.token(OPERATOR, by)) == first["kid"]
    [second] = run("new", folder)
    assert (first["state"], second["state"]) == ("current", "next")
    assert published(by) == [first["kid"], second["kid"]]
    assert kid(signing.token(OPERATOR, by)) == first["kid"]
    later = time.time() + 16 * 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert kid(signing.token(OPERATOR, by)) == second["kid"]
    assert published(by) == [first["kid"], second["kid"]]
    assert [line["state"] for line in run("list", folder)] == ["previous", "current"]
    run("new", folder)
    assert [line["state"] for line in run("list", folder)] == ["previous", "current", "next"]


def test_a_keys_file_is_its_users_alone_and_what_is_published_is_public(folder: Path):
    [made] = run("new", folder)
    assert Path(made["file"]).stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    [document] = run("jwks", folder)
    assert document == signing.key_set(settings(folder))
    assert "d" not in document["keys"][0]
    assert "nbf" not in document["keys"][0]


async def test_rotation_makes_no_401_at_another_service(
    driving: Driving, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """With all times made short: read again every 0.2 s, and a key signs 0.6 s after it is published."""
    monkeypatch.setattr(KeySource, "MAX_AGE", 0.2)
    monkeypatch.setattr(KeySource, "PAUSE", 0.02)
    old = keys.added(folder, time.time())
    registration, other = await driving(service, signing_key=folder), await driving(exchange)
    by = registration.process.settings

    async def read(location: str) -> bytes:
        return (await registration.http.get(location)).content

    other.process.app.state.keys = KeySource("/.well-known/jwks.json", read)

    async def status(token: str) -> int:
        return (await other.http.get("/exchanges", headers={"Authorization": f"Bearer {token}"})).status_code

    first = signing.token(OPERATOR, by)
    assert await status(first) == 200
    new = keys.added(folder, time.time() + 0.6)
    tokens = {kid(first): first}
    until = time.monotonic() + 10
    while new.kid not in tokens:
        token = signing.token(OPERATOR, by)
        tokens[kid(token)] = token
        assert [await status(each) for each in (token, *tokens.values())] == [200] * (1 + len(tokens))
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
    assert set(tokens) == {old.kid, new.kid}
    run("retire", folder, old.kid)
    while await status(tokens[old.kid]) != 401:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
    assert await status(tokens[new.kid]) == 200


def test_a_mounted_secret_that_changes_is_read_again(tmp_path: Path):
    """As Kubernetes does it: the files are links into a folder that is exchanged in one go."""
    for number in (1, 2):
        keys.added(tmp_path / f"..{number}", time.time() - 100 + number)
    for file in (tmp_path / "..1").glob("*.json"):
        (tmp_path / "..2" / file.name).write_bytes(file.read_bytes())
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "..1")
    for file in (tmp_path / "..2").glob("*.json"):
        if (tmp_path / "..1" / file.name).exists():
            (mounted / file.name).symlink_to(Path("..data") / file.name)
    by = settings(mounted)
    before = kid(signing.token(OPERATOR, by))
    assert published(by) == [before]
    (mounted / "..tmp").symlink_to(tmp_path / "..2")
    (mounted / "..tmp").rename(mounted / "..data")
    for file in (tmp_path / "..2").glob("*.json"):
        if not (mounted / file.name).exists():
            (mounted / file.name).symlink_to(Path("..data") / file.name)
    assert kid(signing.token(OPERATOR, by)) != before
    assert before in published(by)


@pytest.mark.parametrize("damage", ["nonsense", "gone"])
def test_the_last_good_keys_stay_while_the_folder_is_bad(
    folder: Path, damage: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    made = keys.added(folder, time.time())
    by = settings(folder)
    private = json.loads(made.file.read_text())["d"]
    if damage == "nonsense":
        made.file.write_text(made.file.read_text()[:-20])
    else:
        made.file.unlink()
    assert kid(signing.token(OPERATOR, by)) == made.kid
    captured = capsys.readouterr()
    said = captured.out + captured.err + caplog.text
    assert "signing keys not read again" in said
    assert private not in said


def test_a_public_key_in_the_folder_verifies_and_never_signs(folder: Path):
    made = keys.added(folder, time.time() - 10)
    other = OKPKey.generate_key("Ed25519", auto_kid=True)
    (folder / "other.json").write_text(json.dumps(other.as_dict(private=False) | {"nbf": time.time() - 1}))
    by = settings(folder)
    assert kid(signing.token(OPERATOR, by)) == made.kid
    assert set(published(by)) == {made.kid, other.kid}


def test_a_link_of_the_former_key_is_good_while_that_is_kept(folder: Path):
    old = keys.added(folder, time.time() - 10)
    by = settings(folder)
    link = uuid4()
    secret = links.secret(link, by)
    keys.added(folder, time.time() - 1)
    assert links.secret(link, by) != secret
    assert links.proves(secret, link, by)
    assert not links.proves(secret, UUID(int=1), by)
    run("retire", folder, old.kid)
    assert not links.proves(secret, link, by)


def test_a_key_is_retired_once_nothing_that_it_signed_is_valid(folder: Path):
    hour = 3_600
    now = time.time()
    oldest, old, current, following = (keys.added(folder, now + hours * hour) for hours in (-1000, -800, -700, 1))
    assert [line["kid"] for line in run("retire", folder)] == [oldest.kid]
    assert run("retire", folder) == []
    assert [line["kid"] for line in run("retire", folder, "--token-lifetime-hours", 600)] == [old.kid]
    assert [line["kid"] for line in run("list", folder)] == [current.kid, following.kid]
    assert keys.outlived([old, current], timedelta(hours=701), now) == []


def test_an_invitation_outlives_short_tokens(folder: Path):
    now = time.time()
    old, _ = keys.added(folder, now - 9 * 86_400), keys.added(folder, now - 6 * 86_400)
    assert run("retire", folder, "--token-lifetime-hours", 1) == []
    assert old.file.exists()


def test_the_key_that_signs_is_not_retired(folder: Path):
    made = keys.added(folder, time.time())
    run("retire", folder, made.kid, status=1)
    run("retire", folder, "unknown", status=1)
    assert made.file.exists()


def test_a_folder_without_a_key_that_signs_already_is_refused(folder: Path, tmp_path: Path):
    keys.added(folder, time.time() + 60)
    with pytest.raises(ValueError, match="signs already"):
        settings(folder)
    with pytest.raises(ValueError, match="signing_key"):
        settings(tmp_path)
    run("list", folder, status=1)
    run("new", next(folder.glob("*.json")), status=1)


def test_two_keys_of_one_name_are_refused(folder: Path):
    made = keys.added(folder, time.time())
    (folder / "copy.json").write_bytes(made.file.read_bytes())
    with pytest.raises(ValueError, match="two keys of one name"):
        settings(folder)
