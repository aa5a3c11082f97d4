"""How a form says what is wrong with it: everything at once, each with its path and what would be right."""

import unicodedata
from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import no_info_wrap_validator_function


class Validation(Protocol):
    """What pydantic does with a value at the place where a validator stands around it."""

    def __call__(self, value: Any, /) -> Any: ...


def wrong(detail: str, allowed: str | None = None) -> PydanticCustomError:
    """What a validator raises."""
    return PydanticCustomError("wrong", "{detail}", {"detail": detail, "allowed": allowed})


def wrong_at(path: tuple[str | int, ...], detail: str, allowed: str | None = None) -> InitErrorDetails:
    """The same for something inside of what is validated, or beside other errors in it."""
    return InitErrorDetails(type=wrong(detail, allowed), loc=path, input=None)


def refusal(path: tuple[str | int, ...], detail: str, allowed: str | None = None) -> ValidationError:
    """What a validator raises about something inside of what it validates."""
    return ValidationError.from_exception_data("form", [wrong_at(path, detail, allowed)])


def all_wrongs(value: Any, inner: Validation, found: Iterable[InitErrorDetails]) -> Any:
    """The valid value. What the inner validation finds wrong is told together with what else was found."""
    wrongs = list(found)
    try:
        valid = inner(value)
    except ValidationError as error:
        wrongs = [_kept(details) for details in error.errors(include_url=False)] + wrongs
    if wrongs:
        raise ValidationError.from_exception_data("form", wrongs)
    return valid


def _kept(details: Any, allowed: str | None = None) -> InitErrorDetails:
    """An error of the inner validation; ``allowed`` says it better than the one bound that was broken."""
    bounds = details.get("ctx", {}) if allowed is None else {"allowed": allowed}
    kind = PydanticCustomError(details["type"], "{message}", {**bounds, "message": details["msg"]})
    return InitErrorDetails(type=kind, loc=details["loc"], input=None)


NO_CONTROLS = "none of them a control character"


def plain(text: Any) -> Any:
    """Before white space is stripped, which would let a line break at the end pass."""
    if isinstance(text, str) and any(unicodedata.category(character) in _INVISIBLE for character in text):
        raise wrong("has control or invisible characters")
    return unicodedata.normalize("NFC", text) if isinstance(text, str) else text


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Allowed:
    """An annotation: the range or list that is told with whatever is wrong about the value itself."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.around(handler(source))

    def around(self, schema: CoreSchema) -> CoreSchema:
        return no_info_wrap_validator_function(self._validated, schema)

    def _validated(self, value: Any, inner: Validation) -> Any:
        try:
            return inner(value)
        except ValidationError as error:
            told = [_kept(one, None if one["loc"] else self._text) for one in error.errors(include_url=False)]
            raise ValidationError.from_exception_data("form", told) from None


class Entries:
    """An annotation: so many entries, no two of them the same, or with the same ``field``."""

    def __init__(self, low: int, high: int, field: str | None = None) -> None:
        self._low = low
        self._high = high
        self._field = field

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounded: Any = {**handler(source), "min_length": self._low, "max_length": self._high}
        distinct = no_info_wrap_validator_function(self._distinct, bounded)
        return Allowed(f"{self._low} to {self._high} entries").around(distinct)

    def _distinct(self, value: Any, inner: Validation) -> Any:
        if not isinstance(value, list):
            return inner(value)
        if len(value) > self._high:  # and no look at the entries: they may be very many
            raise wrong(f"has {len(value)} entries")
        return all_wrongs(value, inner, self._repeats(value))

    def _repeats(self, entries: list[Any]) -> Iterable[InitErrorDetails]:
        seen = set[str]()
        for place, entry in enumerate(entries):
            name = entry.get(self._field) if isinstance(entry, dict) else entry
            if not isinstance(name, str):
                continue
            if name in seen:
                yield wrong_at((place, self._field) if self._field else (place,), "is named twice")
            seen.add(name)
