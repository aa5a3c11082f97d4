"""Mails on their way: accepted, refused, tried again, given up, sent again; against a real SMTP server."""

import asyncio
import datetime as dates
import json
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.due import ERRANDS
from chassis.identity import Role
from chassis.transaction import Cause
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from registration.erasure.forgetting import erase_person
from registration.main import service
from registration.people import links
from registration.people.domain import Addressee, Part, Person, Reads
from registration.settings import MailSettings
from registration.sign_in.domain import Link, Purpose
from registration.sign_in.store import add_links
from sojourn_contracts.notice import NoticeDue, NoticeSent, contact_point

from tests.chassis.waiting import until
from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.mail_server import MailServer, serving
from tests.registration.noticed import ADMIN, COMPANY, MEMBER, PEOPLE, TRAVELLER, asked, known

# aiosmtpd forgets a socket whose TLS handshake the client broke off.
pytestmark = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with serving(MailServer()) as running:
        yield running


@pytest.fixture
async def driver(driving: Driving, server: MailServer) -> Driver:
    driver = await driving(service, smtp_host="127.0.0.1", smtp_port=server.port, smtp_seconds=1)
    await known(driver)
    return driver


def due(recipient: UUID, notice_id: UUID | None = None) -> NoticeDue:
    return NoticeDue(
        notice_id=notice_id or uuid4(),
        recipient_id=recipient,
        template="survey_open",
        parameters={"invitation_id": str(uuid4()), "closes_on": "2026-12-07"},
    )


async def sent(driver: Driver) -> list[NoticeSent]:
    return [event for event in await driver.emitted() if isinstance(event, NoticeSent)]


async def at_once(driver: Driver) -> None:
    """Whatever backs off is due."""
    await driver.rows("update due set not_before = null, claimed_until = null")
    await driver.run_due()


async def states(driver: Driver) -> dict[UUID, tuple[str, str | None]]:
    rows = await driver.rows("select person_id, state, reason from mail")
    return {row["person_id"]: (row["state"], row["reason"]) for row in rows}


async def test_a_notice_that_another_service_asks_for_is_sent_and_told(driver: Driver, server: MailServer):
    notice = due(TRAVELLER)
    await driver.handle(notice)
    await driver.run_due()
    [mail] = server.mails
    assert (mail["To"], mail["From"]) == ("Ugo Viaggio <ugo@zahnrad.example>", "Sojourn <no-reply@sojourn.example>")
    assert (mail["Subject"], mail["Content-Language"]) == ("Com'è andato lo scambio?", "it")
    assert server.recipients == ["ugo@zahnrad.example"]
    assert mail["Message-ID"] == f"<{notice.notice_id}.{TRAVELLER}@sojourn.example>"
    url = f"http://127.0.0.1:8000/invitations/{notice.parameters['invitation_id']}"
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert all(body is not None and url in body.get_content() for body in bodies)
    [told] = await sent(driver)
    assert (told.notice_id, told.revision, told.asked_by, told.outcome, told.reason) == (
        notice.notice_id,
        1,
        "exchange",
        "accepted",
        None,
    )


async def test_a_notice_that_comes_twice_is_sent_once(driver: Driver, server: MailServer):
    notice = due(TRAVELLER)
    await driver.handle(notice, notice)
    await driver.run_due()
    await driver.handle(notice)
    await driver.run_due()
    assert len(server.mails) == len(await sent(driver)) == 1


async def test_what_registration_itself_asks_for_is_sent_and_told_to_nobody(driver: Driver, server: MailServer):
    await asked(driver, uuid4(), ADMIN)
    await driver.run_due()
    assert [mail["Subject"] for mail in server.mails] == ["Your company has been admitted"]
    assert await sent(driver) == []


async def test_a_notice_for_a_company_goes_to_each_who_speaks_for_it_in_their_language_and_is_told_once(
    driver: Driver, server: MailServer
):
    await driver.handle(due(COMPANY))
    await driver.run_due()
    assert {mail["To"]: mail["Content-Language"] for mail in server.mails} == {
        "Ana Admin <ana@zahnrad.example>": "en",
        "Mia Mitglied <mia@zahnrad.example>": "de",
    }
    assert [told.outcome for told in await sent(driver)] == ["accepted"]


def alert(country: str) -> NoticeDue:
    said = {"exchange_id": str(uuid4()), "raised_by": "host", "sender_country": "IT", "host_country": "DE"}
    return NoticeDue(notice_id=uuid4(), recipient_id=contact_point(country), template="does_not_fit", parameters=said)


async def test_a_contact_point_is_written_to_at_the_address_and_in_the_language_that_the_settings_have(
    driving: Driving, server: MailServer
):
    contact_points = {"DE": {"email": "kontakt@stelle.example", "language": "de"}}
    driver = await driving(service, smtp_host="127.0.0.1", smtp_port=server.port, contact_points=contact_points)
    german, italian = alert("DE"), alert("IT")
    await driver.handle(german, italian)
    await driver.run_due()
    [mail] = server.mails
    assert (mail["To"], mail["Content-Language"]) == ("kontakt@stelle.example", "de")
    assert mail["Subject"] == "Ein Aufenthalt passt nicht"
    assert [(told.recipient_id, told.outcome, told.reason) for told in await sent(driver)] == [
        (contact_point("IT"), "refused", "recipient_unknown"),
        (contact_point("DE"), "accepted", None),
    ]
    kept = await driver.rows(
        "select row_to_json(notice)::text as row from notice union all select row_to_json(mail)::text from mail"
        " union all select data from outbox where data is not null"
    )
    assert kept
    assert all("stelle.example" not in row["row"] for row in kept)


async def test_a_contact_point_whose_address_was_taken_out_meanwhile_is_told_so(driving: Driving, server: MailServer):
    contact_points = {"DE": {"email": "kontakt@stelle.example", "language": "de"}}
    driver = await driving(service, smtp_host="127.0.0.1", smtp_port=server.port, contact_points=contact_points)
    await driver.handle(alert("DE"))
    driver.process.settings.contact_points.clear()  # type: ignore[attr-defined]
    await driver.run_due()
    assert (server.mails, [told.reason for told in await sent(driver)]) == ([], ["recipient_unknown"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"XX": {"email": "kontakt@stelle.example", "language": "de"}},
        {"DE": {"email": "nobody", "language": "de"}},
        {"DE": {"email": "kontakt@stelle.example", "language": "es"}},
    ],
)
def test_a_contact_points_setting_that_cannot_be_is_found_at_the_start_and_not_repeated(
    wrong: object, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CONTACT_POINTS", json.dumps(wrong))
    with pytest.raises(ValidationError) as found:
        MailSettings()
    assert all(error["loc"][0] == "contact_points" for error in found.value.errors())
    assert "stelle.example" not in str(found.value)


def test_contact_points_are_no_part_of_what_the_settings_say_of_themselves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTACT_POINTS", '{"DE": {"email": "kontakt@stelle.example", "language": "de"}}')
    assert MailSettings().contact_points["DE"].email == "kontakt@stelle.example"
    assert "stelle" not in repr(MailSettings())


async def test_an_address_that_is_refused_is_told_so_and_not_tried_again(driver: Driver, server: MailServer):
    server.at_rcpt["ugo@zahnrad.example"] = "550 5.1.1 no such mailbox"
    await driver.handle(due(TRAVELLER))
    await driver.run_due()
    await at_once(driver)
    assert [(told.outcome, told.reason) for told in await sent(driver)] == [("refused", "address_refused")]
    assert await states(driver) == {TRAVELLER: ("refused", "address_refused")}
    assert server.mails == []


async def test_a_message_that_is_refused_is_told_so(driver: Driver, server: MailServer):
    server.at_data = ["554 5.7.1 looks like spam"]
    await driver.handle(due(TRAVELLER))
    await driver.run_due()
    assert [told.reason for told in await sent(driver)] == ["message_refused"]


async def test_of_a_company_one_address_may_be_refused_and_the_company_is_told_all_the_same(
    driver: Driver, server: MailServer
):
    server.at_rcpt["ana@zahnrad.example"] = "550 no such mailbox"
    await driver.handle(due(COMPANY))
    await driver.run_due()
    assert await states(driver) == {ADMIN: ("refused", "address_refused"), MEMBER: ("accepted", None)}
    assert [(told.outcome, told.reason) for told in await sent(driver)] == [("accepted", None)]


async def test_a_recipient_whom_nobody_knows_is_told_so(driver: Driver, server: MailServer):
    await driver.handle(due(uuid4()))
    await driver.run_due()
    assert [(told.outcome, told.reason) for told in await sent(driver)] == [("refused", "recipient_unknown")]


async def test_who_is_gone_when_the_mail_is_to_be_sent_is_not_written_to(driver: Driver, server: MailServer):
    await driver.handle(due(TRAVELLER))
    await driver.rows("delete from person where person_id = $1", TRAVELLER)
    await driver.run_due()
    assert [told.reason for told in await sent(driver)] == ["recipient_unknown"]
    assert server.mails == []


@pytest.mark.parametrize("where", ["rcpt", "data"])
@pytest.mark.parametrize("what", ["later", "hang", "close"])
async def test_what_the_server_cannot_take_now_is_tried_again(
    driver: Driver, server: MailServer, where: str, what: str
):
    answer = {"later": "451 4.7.1 greylisted", "hang": server.hang, "close": server.close}[what]
    if where == "rcpt":
        server.at_rcpt["ugo@zahnrad.example"] = answer
    else:
        server.at_data = [answer]
    await driver.handle(due(TRAVELLER))
    await driver.run_due()
    assert (await sent(driver), server.mails) == ([], [])
    [work] = await driver.rows("select attempts, not_before, parked_at from due")
    assert work["attempts"] == 1
    assert work["not_before"] is not None
    assert work["parked_at"] is None
    server.thawed.set()
    server.at_rcpt.clear()
    await at_once(driver)
    assert [told.outcome for told in await sent(driver)] == ["accepted"]
    assert len({mail["Message-ID"] for mail in server.mails}) == 1


async def test_a_mail_server_that_is_away_for_hours_loses_and_parks_nothing(driving: Driving):
    server = MailServer()
    async with serving(server):
        pass
    driver = await driving(service, smtp_host="127.0.0.1", smtp_port=server.port, smtp_seconds=1)
    await known(driver)
    await driver.handle(due(TRAVELLER))
    for _ in range(30):
        await at_once(driver)
    assert (await driver.rows("select attempts from due where parked_at is null"))[0]["attempts"] == 30
    async with serving(server, port=server.port):
        await at_once(driver)
    assert [told.outcome for told in await sent(driver)] == ["accepted"]


async def test_after_the_set_time_a_mail_is_given_up_and_an_operator_sees_it_and_sends_it_again(
    driver: Driver, server: MailServer
):
    server.at_data = ["451 not now", "451 not now"]
    notice = due(TRAVELLER)
    await driver.handle(notice)
    await driver.run_due()
    await driver.rows("update mail set tried_since = clock_timestamp() - interval '47 hours'")
    await at_once(driver)
    assert await sent(driver) == []
    server.at_data = ["451 not now"]
    await driver.rows("update mail set tried_since = clock_timestamp() - interval '49 hours'")
    await at_once(driver)
    assert [(told.revision, told.outcome, told.reason) for told in await sent(driver)] == [(1, "refused", "gave_up")]

    operator = driver.token(Role.OPERATOR)
    [listed] = (await driver.http.get("/notices", params={"state": "refused"}, headers=operator)).json()
    assert (listed["notice_id"], listed["reason"]) == (str(notice.notice_id), "gave_up")
    path = f"/notices/{notice.notice_id}"
    assert (await driver.http.post(f"{path}/sending", headers=operator)).status_code == 204
    assert (await driver.http.get(path, headers=operator)).json()["state"] == "waiting"
    await driver.run_due()
    assert [(told.revision, told.outcome) for told in await sent(driver)] == [(1, "refused"), (2, "accepted")]
    again = await driver.http.post(f"{path}/sending", headers=operator)
    assert (again.status_code, again.json()["rule"]) == (409, "nothing_refused")
    assert len(server.mails) == 1


async def test_sent_again_it_goes_to_the_address_of_now_and_only_to_whom_it_was_refused(
    driver: Driver, server: MailServer
):
    server.at_rcpt["ana@zahnrad.example"] = "550 no such mailbox"
    notice = uuid4()
    await asked(driver, notice, COMPANY)
    await driver.run_due()
    await known(driver, Person(ADMIN, COMPANY, Part.ADMIN, Addressee("Ana Admin", "ana@neu.example", Reads.EN)))
    answer = await driver.http.post(f"/notices/{notice}/sending", headers=driver.token(Role.OPERATOR))
    assert answer.status_code == 204
    await driver.run_due()
    assert server.recipients == ["mia@zahnrad.example", "ana@neu.example"]


async def test_mails_are_counted_by_template(driver: Driver, server: MailServer):
    server.at_rcpt["ugo@zahnrad.example"] = "550 no such mailbox"
    await driver.handle(due(COMPANY), due(TRAVELLER), due(uuid4()))
    await asked(driver, uuid4(), ADMIN)
    await driver.run_due()
    counts = (await driver.http.get("/notices/counts", headers=driver.token(Role.OPERATOR))).json()
    assert counts == [
        {"template": "admitted", "notices": 1, "waiting": 0, "accepted": 1, "refused": 0},
        {"template": "survey_open", "notices": 3, "waiting": 0, "accepted": 2, "refused": 2},
    ]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/counts"), ("GET", f"/{UUID(int=9)}"), ("POST", f"/{UUID(int=9)}/sending")],
)
async def test_notices_are_for_operators_alone(driver: Driver, role: Role, method: str, path: str):
    token = driver.token(role, company_id=COMPANY, person_id=ADMIN, country="DE")
    assert (await driver.http.request(method, f"/notices{path}", headers=token)).status_code == 403


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/sending")])
async def test_an_unknown_notice_is_a_404(driver: Driver, method: str, path: str):
    answer = await driver.http.request(method, f"/notices/{uuid4()}{path}", headers=driver.token(Role.OPERATOR))
    assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_notice")


async def test_a_crash_after_the_server_accepted_sends_twice_under_one_message_id_and_loses_nothing(
    driver: Driver, server: MailServer
):
    """The process ends between the server's answer and its own commit: here, the transaction of the outcome fails."""
    await driver.handle(due(TRAVELLER))
    async with driver.process.pool.acquire() as other, other.transaction():
        await other.execute("select 1 from notice for update")
        round_ = asyncio.create_task(driver.process.due.round())

        async def outcome_waits() -> bool:
            return bool(
                await driver.rows(
                    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                )
            )

        # PostgreSQL does not hear of a cancel that overtakes its statement: that would hold the lock for longer than allowed.
        await until(outcome_waits)
        assert len(server.mails) == 1
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
    assert await sent(driver) == []
    await at_once(driver)
    assert [told.revision for told in await sent(driver)] == [1]
    assert [mail["Message-ID"] for mail in server.mails] == [server.mails[0]["Message-ID"]] * 2


async def test_a_mail_to_sign_in_with_waits_for_no_burst_of_others_even_where_those_hang(
    driver: Driver, server: MailServer
):
    server.at_rcpt["ugo@zahnrad.example"] = server.hang
    for _ in range(2 * ERRANDS):
        await asked(driver, uuid4(), TRAVELLER)
    running = asyncio.create_task(driver.process.due.run())
    try:
        await until(lambda: driver.process.due.in_hand == ERRANDS)
        link = uuid4()
        async with driver.process.open_transaction(Cause()) as tx:
            await add_links(tx, [Link(link, ADMIN, Purpose.SIGN_IN, "ana@zahnrad.example")])
        await asked(driver, uuid4(), ADMIN, "sign_in", link=str(link))
        await until(lambda: server.recipients == ["ana@zahnrad.example"])
        assert [mail["X-Notice-Template"] for mail in server.mails] == ["sign_in"]
    finally:
        server.thawed.set()
        driver.process.due.stop()
        await running


async def test_who_is_erased_takes_their_waiting_mails_along_and_who_asked_hears_how_the_rest_ended(
    driver: Driver, server: MailServer
):
    server.at_rcpt["ana@zahnrad.example"] = "451 later"
    to_both, to_one, other = due(COMPANY), due(COMPANY), due(COMPANY)
    await driver.handle(to_both)
    await driver.run_due()
    assert await states(driver) == {ADMIN: ("waiting", None), MEMBER: ("accepted", None)}
    await driver.rows("delete from person where person_id = $1", MEMBER)
    await driver.rows("update company set profile = null")
    await driver.handle(to_one)
    assert await sent(driver) == []
    async with driver.process.open_transaction(Cause()) as tx:
        await erase_person(tx, ADMIN, admins_count=False)
    assert {(told.notice_id, told.outcome, told.reason) for told in await sent(driver)} == {
        (to_both.notice_id, "accepted", None),
        (to_one.notice_id, "refused", "recipient_unknown"),
    }
    assert await driver.rows("select from due where kind like 'send%mail'") == []
    await driver.handle(other)
    assert [told.notice_id for told in await sent(driver)][2:] == [other.notice_id]


async def test_while_others_of_a_company_are_still_written_to_an_erasure_answers_nothing(
    driver: Driver, server: MailServer
):
    await driver.rows("update company set profile = null")
    await driver.handle(due(COMPANY))
    async with driver.process.open_transaction(Cause()) as tx:
        await erase_person(tx, ADMIN, admins_count=False)
    assert await sent(driver) == []
    await driver.run_due()
    assert [(told.outcome, told.revision) for told in await sent(driver)] == [("accepted", 1)]
    assert server.recipients == ["mia@zahnrad.example"]


async def test_one_connection_takes_several_mails(driver: Driver, server: MailServer):
    for _ in range(10):
        await asked(driver, uuid4(), TRAVELLER)
    await driver.run_due()
    assert (len(server.mails), server.connections) == (10, 1)


async def test_no_address_name_or_text_is_logged_or_told_whatever_the_server_answers(
    driver: Driver, server: MailServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    server.at_rcpt["ana@zahnrad.example"] = "550 5.1.1 <ana@zahnrad.example> no such mailbox"
    server.at_rcpt["mia@zahnrad.example"] = "451 4.7.1 <mia@zahnrad.example> greylisted"
    server.at_data = ["554 5.7.1 to ugo@zahnrad.example: looks like spam"]
    await driver.handle(due(COMPANY), due(TRAVELLER))
    await driver.run_due()
    await known(
        driver, Person(MEMBER, COMPANY, Part.MEMBER, Addressee("Mia", "mia..mitglied@zahnrad.example", Reads.DE))
    )
    await at_once(driver)
    kept = await driver.rows(
        "select data from outbox union all select row_to_json(due)::text from due"
        " union all select row_to_json(notice)::text from notice union all select row_to_json(mail)::text from mail"
    )
    out = capsys.readouterr()
    written = "\n".join([caplog.text, out.out, out.err, *(row["data"] for row in kept if row["data"])])
    for person in PEOPLE:
        assert person.addressee.email.partition("@")[0] + "@" not in written
        assert person.addressee.name not in written
    for text in ("zahnrad.example", "How was the exchange", "Wie war der Austausch", "greylisted", "spam"):
        assert text not in written


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dates.datetime.now(dates.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    cert_file, key_file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context, cert_file


async def sending_with(driving: Driving, smtp_security: str = "starttls", **settings: Any) -> Driver:
    driver = await driving(service, smtp_host="localhost", smtp_security=smtp_security, **settings)
    await known(driver)
    await asked(driver, uuid4(), TRAVELLER)
    await driver.run_due()
    return driver


async def test_starttls_and_a_password_are_used_where_they_are_set(
    driving: Driving, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
):
    context, trusted = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with serving(MailServer(), tls=context, users={"sojourn": "secret"}) as server:
        await sending_with(driving, smtp_port=server.port, smtp_user="sojourn", smtp_password="secret")
        assert (server.encrypted, server.signed_in) == ([True], [True])


async def test_a_mail_server_that_is_encrypted_from_the_start_is_sent_to_where_it_is_trusted(
    driving: Driving, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
):
    context, trusted = tls
    async with serving(MailServer(), direct_tls=context) as server:
        driver = await sending_with(driving, "tls", smtp_port=server.port, smtp_seconds=2)
        assert (server.mails, await states(driver)) == ([], {TRAVELLER: ("waiting", None)})
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        await at_once(driver)
        assert (server.recipients, await states(driver)) == (["ugo@zahnrad.example"], {TRAVELLER: ("accepted", None)})


async def test_a_mail_server_that_is_not_encrypted_from_the_start_gets_nothing_where_it_should_be(driving: Driving):
    async with serving(MailServer()) as server:
        driver = await sending_with(driving, "tls", smtp_port=server.port, smtp_seconds=2)
        assert (server.mails, server.recipients) == ([], [])
        assert await states(driver) == {TRAVELLER: ("waiting", None)}


@pytest.mark.parametrize("wrong", ["an untrusted certificate", "a wrong password", "no encryption offered"])
async def test_a_server_that_cannot_be_trusted_or_signed_in_to_gets_no_mail_and_no_address_is_blamed(
    driving: Driving, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch, wrong: str
):
    context, trusted = tls
    if wrong != "an untrusted certificate":
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    encrypted = None if wrong == "no encryption offered" else context
    async with serving(MailServer(), tls=encrypted, users={"sojourn": "secret"}) as server:
        password = "other" if wrong == "a wrong password" else "secret"
        driver = await sending_with(driving, smtp_port=server.port, smtp_user="sojourn", smtp_password=password)
        assert server.mails == []
        assert await states(driver) == {TRAVELLER: ("waiting", None)}


@pytest.mark.parametrize(
    ("template", "purpose"),
    [("sign_in", Purpose.SIGN_IN), ("invited", Purpose.INVITATION), ("new_address", Purpose.ADDRESS)],
)
async def test_a_link_that_signs_in_stands_in_the_mail_and_is_kept_nowhere(
    driver: Driver, server: MailServer, template: str, purpose: Purpose
):
    link = uuid4()
    async with driver.process.open_transaction(Cause()) as tx:
        await add_links(tx, [Link(link, TRAVELLER, purpose, "ugo@zahnrad.example")])
    await asked(driver, uuid4(), TRAVELLER, template, link=str(link))
    await driver.run_due()
    body = server.mails[0].get_body(("plain",))
    settings: Any = driver.process.settings
    assert body is not None
    assert links.url(link, settings) in body.get_content()
    kept = await driver.rows(
        "select row_to_json(notice)::text as row from notice union all select row_to_json(mail)::text from mail"
        " union all select row_to_json(link)::text from link"
    )
    assert all(links.secret(link, settings) not in row["row"] for row in kept)
