"""A company and its people, who are told things, for the tests of notices."""

from uuid import UUID

from chassis.transaction import Cause
from registration.notices.asked import ask
from registration.people import store as people
from registration.people.domain import Addressee, Part, Person, Reads

from tests.chassis_driver import Driver

COMPANY, ADMIN, MEMBER, TRAVELLER = (UUID(int=number) for number in range(1, 5))
PEOPLE = (
    Person(ADMIN, COMPANY, Part.ADMIN, Addressee("Ana Admin", "ana@zahnrad.example", Reads.EN)),
    Person(MEMBER, COMPANY, Part.MEMBER, Addressee("Mia Mitglied", "mia@zahnrad.example", Reads.DE)),
    Person(TRAVELLER, COMPANY, Part.TRAVELLER, Addressee("Ugo Viaggio", "ugo@zahnrad.example", Reads.IT)),
)


async def known(driver: Driver, *these: Person) -> None:
    """The company and its people are registered."""
    await driver.rows(
        "insert into company (company_id, revision, name, profile, registered_at) values ($1, 1, 'Acme', '{}', now())"
        " on conflict do nothing",
        COMPANY,
    )
    async with driver.process.open_transaction(Cause()) as tx:
        await people.save(tx, these or PEOPLE)


async def asked(
    driver: Driver, notice_id: UUID, recipient_id: UUID, template: str = "admitted", **parameters: str
) -> None:
    """Registration itself asks for a notice."""
    async with driver.process.open_transaction(Cause()) as tx:
        await ask(tx, notice_id, recipient_id, template, parameters)
