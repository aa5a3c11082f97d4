"""Whatever people do to sign in, no line of the log has an address, a name, a secret or a token, however talkative the log is."""

import pytest
from chassis.log import configure
from registration.main import service

from tests.conftest import Driving
from tests.registration.forms import person_form
from tests.registration.signing_in import asked_for, bearer, opened, registered, sent


async def test_no_address_secret_or_token_is_in_any_line(
    driving: Driving, logging_as_before: None, capsys: pytest.CaptureFixture[str]
):
    configure("registration", "json", "debug")
    driver = await driving(service, sign_ins_per_address=2)
    made = await registered(driver)
    [said] = await asked_for(driver, "uwe@zahnrad.example")
    session = (await opened(driver, said)).json()
    await opened(driver, said)
    await opened(driver, {**said, "secret": "x"})
    again = (await driver.http.post("/sessions/refresh", json={"refresh_token": session["refresh_token"]})).json()
    await driver.http.post("/sessions/refresh", json={"refresh_token": session["refresh_token"]})
    headers = {**bearer(again["access_token"]), "Idempotency-Key": "a-key-of-sixteen-or-more"}
    people = f"/companies/{made['company_id']}/people"
    await driver.http.post(people, json=person_form("Mia Member"), headers=headers)
    await driver.http.post(people, json=person_form("Mia Member", email="no address"), headers=headers)
    [invitation] = await sent(driver, "mia@zahnrad.example", "invited")
    mia = (await opened(driver, invitation)).json()
    person = (await driver.http.get(people, headers=headers)).json()[1]["person_id"]
    changed = person_form("Moa Moved", email="moved@zahnrad.example")
    await driver.http.put(f"/people/{person}", json=changed, headers=bearer(mia["access_token"]))
    await driver.http.put(f"/people/{person}", json=changed, headers=bearer(mia["access_token"][:-9] + "AAAAAAAAA"))
    for _ in range(3):
        await driver.http.post("/sign-in", json={"email": "Uwe@zahnrad.example"})
    await driver.run_due()
    lines = capsys.readouterr().err
    assert '"route": "/sessions"' in lines
    tokens = [session, again, mia]
    secrets = [said["secret"], invitation["secret"]]
    secrets += [each[name] for each in tokens for name in ("access_token", "refresh_token")]
    for secret in (*secrets, "zahnrad.example", "no address", "Mia", "Moa", "Uwe", "Kovač"):
        assert secret.casefold() not in lines.casefold(), secret
