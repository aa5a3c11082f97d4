"""The contact points of the countries: told by e-mail at the addresses that the settings have, which are kept nowhere else."""

from collections.abc import Mapping
from uuid import UUID

from sojourn_contracts.notice import contact_point

from registration.people.domain import Addressee
from registration.settings import MailSettings


def addressees(settings: MailSettings) -> Mapping[UUID, Addressee]:
    """By the recipients that stand for them. They have no name: their mails greet a contact point."""
    return {
        contact_point(country): Addressee("", each.email, each.language)
        for country, each in settings.contact_points.items()
    }
