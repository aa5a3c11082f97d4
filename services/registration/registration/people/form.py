"""What is told about a person."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, StringConstraints

from registration.people.domain import Addressee, Part, Reads
from registration.wrongs import NO_CONTROLS, Allowed, plain

LONGEST_EMAIL = 254
"""Characters of an address, by RFC 5321."""

PersonName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120),
    BeforeValidator(plain),
    Allowed(f"1 to 120 characters, {NO_CONTROLS}"),
]
Email = Annotated[
    EmailStr,
    AfterValidator(str.lower),
    BeforeValidator(plain),
    Allowed(f"an address as in ana@example.org, of {LONGEST_EMAIL} characters at most"),
]
"""In small letters: who signs in does not have to know how it was once written."""


class PersonForm(BaseModel):
    """Somebody's name, where they are written to, and in which language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: PersonName
    email: Email
    reads: Annotated[Reads, Allowed(", ".join(Reads))]

    @property
    def addressee(self) -> Addressee:
        return Addressee(self.name, self.email, self.reads)


SpeakingPart = Annotated[Literal[Part.ADMIN, Part.MEMBER], Allowed(f"{Part.ADMIN}, {Part.MEMBER}")]
"""Who travels is said with the placement."""


class InvitationForm(PersonForm):
    """Somebody who is to speak for a company."""

    part: SpeakingPart = Part.MEMBER


class PartForm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    part: SpeakingPart
