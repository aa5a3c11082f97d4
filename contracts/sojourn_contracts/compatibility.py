"""Whether readers of one version of an event can read another: rules between two JSON Schemas; standard library only.

Both directions count: an old reader reads the new event, a new reader the old one. A producer writes the fields that its schema
names and no others; a reader takes fields that it does not know where its schema lets them pass. So what a published field may
hold stays as it is, both ways, and what may come is optional fields. Each version is compared with every earlier one, since
what two steps do to each other, neither may show: a field that goes and comes back as something else.

Where two ways of writing say the same (``$ref`` or in place, ``const`` or ``enum``, another order), nothing has changed. What is
not understood here is taken for a break unless it is the same in both. Schemas are of the dialect 2020-12.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from math import ceil, floor
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

Json = dict[str, Any]
Part = Json | bool
"""A schema, or a schema within one."""


class Rule(StrEnum):
    """What never changes within a major version."""

    TYPE = "type"
    """A value keeps its type."""
    NULL = "null"
    """What can be null stays so, what cannot be stays so, too."""
    REQUIRED = "required"
    """A required field stays required, an optional one optional; a new field is optional."""
    REMOVED = "removed"
    """A field stays."""
    CLOSED = "closed"
    """An object that lets no unknown field pass gets no new one."""
    OPEN = "additional-properties"
    """Whether unknown fields pass stays as it is, and so does what they may hold."""
    ENUM = "enum"
    """A closed list of values stays as it is; a list that may grow is a string."""
    BOUND = "bound"
    """Bounds of numbers, lengths and sizes stay as they are."""
    PATTERN = "pattern"
    """Patterns stay as they are, to the letter: whether two of them say the same cannot be told."""
    FORMAT = "format"
    """A format stays as it is."""
    POSITIONS = "positions"
    """An array whose positions have schemas of their own keeps their number."""
    ALTERNATIVES = "alternatives"
    """None of several alternatives comes or goes."""
    DEFAULT = "default"
    """What a missing field means stays as it is."""
    UNKNOWN = "unknown"
    """What cannot be judged here does not change."""
    FROZEN = "frozen"
    """A published file stays as it is."""
    SEQUENCE = "sequence"
    """Minor versions count from 0 without a gap, so that none is compared with too few."""


class Fails(StrEnum):
    """Who cannot go on: an old reader with the new event, a new reader with the old one, or each with the other's."""

    OLD = "the old reader fails"
    NEW = "the new reader fails"
    BOTH = "both fail"


@dataclass(frozen=True, order=True)
class Break:
    """A rule that a change breaks; ``path`` leads to the value in an event, as in ``$.placements[*].window.last``."""

    path: str
    rule: Rule
    fails: Fails
    detail: str


@dataclass(frozen=True, order=True)
class Version:
    """One schema of an event."""

    event: str
    major: int
    minor: int

    @property
    def number(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, order=True)
class Finding:
    """What a version breaks with regard to an earlier one."""

    version: Version
    against: Version
    broken: Break

    def __str__(self) -> str:
        broken = self.broken
        place = f"{self.version.event} {self.version.number} against {self.against.number}: {broken.path}"
        return f"{place}: {broken.rule}: {broken.detail} ({broken.fails})"


class Unreadable(ValueError):  # noqa: N818 - it describes the folder
    """A folder holds no versions, or a file that is none."""


def versions(folder: Path) -> dict[Version, Json]:
    """The schemas in ``<Event>/<major>.<minor>.json``.

    Raises:
        Unreadable: there are none, a JSON file goes by another name, or is no JSON object.
    """
    found: dict[Version, Json] = {}
    for path in sorted(folder.rglob("*.json")):
        name = re.fullmatch(r"([^/]+)/(0|[1-9]\d*)\.(0|[1-9]\d*)\.json", path.relative_to(folder).as_posix(), re.ASCII)
        if name is None:
            raise Unreadable(f"{path} is not named <Event>/<major>.<minor>.json")
        try:
            schema = json.loads(path.read_bytes())
        except ValueError as error:
            raise Unreadable(f"{path} is not JSON: {error}") from None
        if not isinstance(schema, dict):
            raise Unreadable(f"{path} is not a JSON object")
        found[Version(name[1], int(name[2]), int(name[3]))] = cast(Json, schema)
    if not found:
        raise Unreadable(f"{folder} has no <Event>/<major>.<minor>.json")
    return found


def findings(former: Mapping[Version, Json], present: Mapping[Version, Json]) -> list[Finding]:
    """What breaks when all that was published is followed by what there is now, which includes it.

    Each version that was not published yet is compared with every other one of its event and major version.
    """
    found = [
        Finding(version, version, Break("$", Rule.FROZEN, Fails.BOTH, "is published, and gone"))
        for version in former.keys() - present.keys()
    ]
    found += [
        Finding(version, version, Break("$", Rule.FROZEN, Fails.BOTH, "is published, and another one now"))
        for version in former.keys() & present.keys()
        if _text(former[version]) != _text(present[version])
    ]
    everything = {**present, **former}
    for version in everything.keys() - former.keys():
        if version.minor and Version(version.event, version.major, version.minor - 1) not in everything:
            detail = f"{version.major}.{version.minor - 1} is missing"
            found.append(Finding(version, version, Break("$", Rule.SEQUENCE, Fails.BOTH, detail)))
    for earlier, later in compared(former, present):
        found += [Finding(later, earlier, broken) for broken in breaks(everything[earlier], everything[later])]
    return sorted(found)


def compared(former: Mapping[Version, Json], present: Mapping[Version, Json]) -> list[tuple[Version, Version]]:
    """The pairs to compare, the earlier first: all but those of which both were published."""
    everything = sorted({*former, *present})
    return [
        (earlier, later)
        for later in everything
        for earlier in everything
        if (earlier.event, earlier.major) == (later.event, later.major)
        and earlier.minor < later.minor
        and not (earlier in former and later in former)
    ]


def breaks(old: Json, new: Json) -> list[Break]:
    """The rules that the change from one schema to the other breaks, by path."""
    found = set(_Comparison(old, new).between(old, new, "$"))
    if old.get("$schema") != new.get("$schema"):
        found.add(Break("$", Rule.UNKNOWN, Fails.BOTH, f"$schema {_change(old.get('$schema'), new.get('$schema'))}"))
    return sorted(found)


_ANNOTATIONS = frozenset(
    ("$schema", "$id", "$anchor", "$defs", "$comment", "definitions", "title", "description", "examples", "deprecated")
).union(("readOnly", "writeOnly", "default", "discriminator"))
"""Nothing is refused by them. A default is compared by itself."""
_TYPES = ("null", "boolean", "number", "string", "array", "object")
"""A number can be an integer."""
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_OF_TYPE = {
    "integer": {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "format"},
    "number": {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "format"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "array": {"minItems", "maxItems", "uniqueItems", "items", "prefixItems"},
    "object": {"minProperties", "maxProperties", "properties", "required"}
    | {"additionalProperties", "patternProperties", "propertyNames"},
}
"""The keywords that say something of values of one type, and nothing of others. Formats of numbers (``int32``) are for generators
of code, whose readers they bind."""
_KNOWN = frozenset({"type", "enum", "const"}.union(*_OF_TYPE.values()))
_EXCLUSIVE = "oneOf of one type"
_MISSING = object()
_DEEPEST = 60


class _UnknownError(Exception):
    """This cannot be judged."""


@dataclass(frozen=True)
class _Kind:
    """Values of one type, and what the schema says of them."""

    type: str
    says: Json
    values: Mapping[str, Any] | None
    """By their JSON, when they are listed."""
    exclusive: bool
    """One of several of this type of which no two may fit at once."""


@dataclass
class _Comparison:
    old: Json
    new: Json
    going: set[str] = field(default_factory=set[str])
    """Pairs that are being compared: a schema that contains itself is met again."""

    def between(self, old: Part, new: Part, path: str) -> Iterator[Break]:
        pair = f"{_text(old)} {_text(new)}"
        if pair in self.going:
            return
        if len(self.going) > _DEEPEST:
            yield Break(path, Rule.UNKNOWN, Fails.BOTH, "lies too deep")
            return
        self.going.add(pair)
        try:
            yield from self._defaults(old, new, path)
            yield from self._kinds(_kinds(old, self.old), _kinds(new, self.new), path)
        except _UnknownError as unknown:
            if _text(old) != _text(new) or _refers(old):
                yield Break(path, Rule.UNKNOWN, Fails.BOTH, str(unknown))
        finally:
            self.going.discard(pair)

    def _defaults(self, old: Part, new: Part, path: str) -> Iterator[Break]:
        was, is_ = _default(old, self.old), _default(new, self.new)
        if was is not is_ and (was is _MISSING or is_ is _MISSING or _text(was) != _text(is_)):
            yield Break(path, Rule.DEFAULT, Fails.BOTH, _change(was, is_))

    def _kinds(self, olds: Sequence[_Kind], news: Sequence[_Kind], path: str) -> Iterator[Break]:
        old_types, new_types = ({kind.type: None for kind in kinds} for kinds in (olds, news))
        if ("null" in old_types) != ("null" in new_types):
            became = "null" in new_types
            detail = "can be null now" if became else "cannot be null any more"
            yield Break(path, Rule.NULL, Fails.OLD if became else Fails.NEW, detail)
        was, is_ = ([type_ for type_ in types if type_ != "null"] for types in (old_types, new_types))
        if fails := _fails(bool(set(was) - set(is_)), bool(set(is_) - set(was))):
            yield Break(path, Rule.TYPE, fails, _change(" or ".join(was) or "nothing", " or ".join(is_) or "nothing"))
        for type_ in was:
            if type_ in is_:
                mine, theirs = ([kind for kind in kinds if kind.type == type_] for kinds in (olds, news))
                yield from self._alternatives(mine, theirs, path)

    def _alternatives(self, olds: list[_Kind], news: list[_Kind], path: str) -> Iterator[Break]:
        gone: list[_Kind] = []
        left = list(news)
        for old in olds:
            same = next((new for new in left if next(self._kind(old, new, path), None) is None), None)
            if same is None:
                gone.append(old)
            else:
                left.remove(same)
        if len(gone) == len(left) == 1:
            yield from self._kind(gone[0], left[0], path)
        elif fails := _fails(bool(gone), bool(left)):
            detail = f"of those that are a {olds[0].type}, {len(gone)} went and {len(left)} came"
            yield Break(path, Rule.ALTERNATIVES, fails, detail)

    def _kind(self, old: _Kind, new: _Kind, path: str) -> Iterator[Break]:
        yield from _values(old, new, path)
        yield from _bounds(old, new, path)
        if old.exclusive != new.exclusive:
            yield Break(path, Rule.ALTERNATIVES, Fails.BOTH, "oneOf became anyOf, or the other way round")
        for keyword, rule in (("pattern", Rule.PATTERN), ("format", Rule.FORMAT)):
            was, is_ = old.says.get(keyword), new.says.get(keyword)
            if was != is_:
                fails = Fails.NEW if was is None else Fails.OLD if is_ is None else Fails.BOTH
                yield Break(path, rule, fails, _change(was, is_))
        if old.type == "object":
            yield from self._fields(old.says, new.says, path)
        if old.type == "array":
            yield from self._items(old.says, new.says, path)
        unknown = sorted({*old.says, *new.says} - _KNOWN)
        if unknown and (
            _text(old.says) != _text(new.says) or (_refers(old.says) and _text(self.old) != _text(self.new))
        ):
            # such a keyword may forbid what is otherwise allowed, and what a reference in it leads to is not followed
            yield Break(path, Rule.UNKNOWN, Fails.BOTH, f"changes beside {', '.join(unknown)}, not understood here")

    def _fields(self, old: Json, new: Json, path: str) -> Iterator[Break]:
        was, is_ = old.get("properties", {}), new.get("properties", {})
        required_before, required = set(old.get("required", ())), set(new.get("required", ()))
        for name in dict.fromkeys((*was, *is_, *sorted(required_before ^ required))):
            place = _within(path, name)
            if name in was and name not in is_:
                yield Break(place, Rule.REMOVED, Fails.OLD, "is no field any more")
                continue
            if (name in required) != (name in required_before):
                if name in required:
                    detail = "is required now" if name in was else "is new, and required"
                    yield Break(place, Rule.REQUIRED, Fails.NEW, detail)
                else:
                    yield Break(place, Rule.REQUIRED, Fails.OLD, "is optional now")
            if name in was:
                yield from self.between(was[name], is_[name], place)
            elif name in is_:
                yield from self._added(old, name, is_[name], place)
        yield from self._others(old, new, path)

    def _added(self, old: Json, name: str, new: Part, path: str) -> Iterator[Break]:
        """A field is new: what did an old reader take it for?"""
        taken = [part for pattern, part in old.get("patternProperties", {}).items() if _found(pattern, name)]
        for part in taken or [old.get("additionalProperties", True)]:
            if part is False:
                yield Break(path, Rule.CLOSED, Fails.OLD, "is new where no unknown field passes")
            elif not _is_anything(part):
                yield from self.between(part, new, path)

    def _others(self, old: Json, new: Json, path: str) -> Iterator[Break]:
        """Fields without a name: those on top, those of a dictionary, and what they may be called."""
        was, is_ = old.get("additionalProperties", True), new.get("additionalProperties", True)
        more, less = (_is_anything(is_) or was is False), (_is_anything(was) or is_ is False)
        if more and less:
            pass
        elif more or less:
            detail = _change("any" if _is_anything(was) else was, "any" if _is_anything(is_) else is_)
            yield Break(path, Rule.OPEN, Fails.OLD if more else Fails.NEW, detail)
        else:
            yield from self.between(was, is_, f"{path}.*")
        was, is_ = old.get("patternProperties", {}), new.get("patternProperties", {})
        if was.keys() != is_.keys():
            yield Break(f"{path}.*", Rule.PATTERN, Fails.BOTH, f"of the names {_change(sorted(was), sorted(is_))}")
        for pattern in was.keys() & is_.keys():
            yield from self.between(was[pattern], is_[pattern], f"{path}.*")
        yield from self.between(old.get("propertyNames", True), new.get("propertyNames", True), f"{path}.*~")

    def _items(self, old: Json, new: Json, path: str) -> Iterator[Break]:
        was, is_ = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(was) != len(is_):
            yield Break(path, Rule.POSITIONS, Fails.BOTH, _change(len(was), len(is_)))
        for place, (one, other) in enumerate(zip(was, is_, strict=False)):
            yield from self.between(one, other, f"{path}[{place}]")
        yield from self.between(old.get("items", True), new.get("items", True), f"{path}[*]")


def _values(old: _Kind, new: _Kind, path: str) -> Iterator[Break]:
    was, is_ = old.values, new.values
    if was is None and is_ is None:
        return
    if was is None or is_ is None:
        detail = f"is a closed list now: {', '.join(is_)}" if is_ else "is no closed list any more"
        yield Break(path, Rule.ENUM, Fails.OLD if is_ is None else Fails.NEW, detail)
        return
    gone, came = [text for text in was if text not in is_], [text for text in is_ if text not in was]
    if fails := _fails(bool(gone), bool(came)):
        said = [*(f"{text} went" for text in gone), *(f"{text} came" for text in came)]
        yield Break(path, Rule.ENUM, fails, ", ".join(said))


def _bounds(old: _Kind, new: _Kind, path: str) -> Iterator[Break]:
    for keyword in (*_LEAST, *_MOST):
        was, is_ = _bound(old, keyword), _bound(new, keyword)
        if was != is_:
            tighter = was is None or (is_ is not None and (is_ > was) == (keyword in _LEAST))
            yield Break(path, Rule.BOUND, Fails.NEW if tighter else Fails.OLD, f"{keyword} {_change(was, is_)}")
    was, is_ = (kind.says.get("multipleOf", 1 if kind.type == "integer" else None) for kind in (old, new))
    if was != is_:
        fails = Fails.NEW if was in (None, 1) else Fails.OLD if is_ in (None, 1) else Fails.BOTH
        yield Break(path, Rule.BOUND, fails, f"multipleOf {_change(was, is_)}")
    was, is_ = (bool(kind.says.get("uniqueItems")) for kind in (old, new))
    if was != is_:
        yield Break(path, Rule.BOUND, Fails.NEW if is_ else Fails.OLD, f"uniqueItems {_change(was, is_)}")


def _bound(kind: _Kind, keyword: str) -> int | float | None:
    """A bound that always holds is none; those of whole numbers are whole, and included."""
    says = kind.says
    if kind.type == "integer":
        if keyword == "minimum":
            return max(
                _whole(says, keyword, ceil) + _whole(says, "exclusiveMinimum", lambda n: floor(n) + 1), default=None
            )
        if keyword == "maximum":
            return min(
                _whole(says, keyword, floor) + _whole(says, "exclusiveMaximum", lambda n: ceil(n) - 1), default=None
            )
        return None
    bound = says.get(keyword)
    return None if bound == 0 and keyword in ("minLength", "minItems", "minProperties") else bound


def _whole(says: Json, keyword: str, rounded: Callable[[float], int]) -> list[int]:
    return [rounded(says[keyword])] if keyword in says else []


def _kinds(part: Part, document: Json) -> list[_Kind]:
    """What the values may be, by type; an alternative that is there twice counts once."""
    kinds: list[_Kind] = []
    for says in _expanded(part, document, frozenset()):
        others = {keyword: value for keyword, value in says.items() if keyword not in _KNOWN and keyword != _EXCLUSIVE}
        for type_, values in _typed(says):
            wanted = _OF_TYPE.get(type_, set())
            kind = _Kind(type_, {k: v for k, v in says.items() if k in wanted} | others, values, _EXCLUSIVE in says)
            if kind not in kinds:
                kinds.append(kind)
    return kinds


def _typed(says: Json) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The types, and of each the values if they are listed."""
    types = _types(says)
    if "enum" not in says:
        yield from ((type_, None) for type_ in types)
        return
    listed: dict[str, dict[str, Any]] = {}
    for value in says["enum"]:
        type_ = _type_of(value)
        if type_ in types or (type_ == "integer" and "number" in types):
            listed.setdefault(type_, {})[_text(value)] = value
    if "number" in listed:
        listed["number"] |= listed.pop("integer", {})
    for type_, values in listed.items():
        whole = type_ == "null" or (type_ == "boolean" and len(values) == 2)
        yield type_, None if whole else dict(sorted(values.items()))


def _types(says: Json) -> list[str]:
    types = says.get("type", list(_TYPES))
    listed = cast("list[str]", [types] if isinstance(types, str) else types)
    return [type_ for type_ in listed if not (type_ == "integer" and "number" in listed)]


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def _expanded(part: Part, document: Json, seen: frozenset[str]) -> list[Json]:
    """The alternatives that a schema allows, without references and combinations at this level."""
    if isinstance(part, bool):
        return [{}] if part else []
    if "$id" in part and part is not document:
        raise _UnknownError("$id within a schema")
    combined = ("$ref", "allOf", "anyOf", "oneOf")
    own = {
        keyword: value
        for keyword, value in part.items()
        if keyword not in _ANNOTATIONS and keyword not in combined and not keyword.startswith("x-")
    }
    if "const" in own:
        own = _both(own, {"enum": [own["const"]]})
        del own["const"]
    factors: list[list[Json]] = [[own]]
    if "$ref" in part:
        reference = part["$ref"]
        if reference in seen:
            raise _UnknownError(f"{reference} leads to itself")
        factors.append(_expanded(_target(reference, document), document, seen | {reference}))
    factors += [_expanded(each, document, seen) for each in part.get("allOf", ())]
    for keyword in ("anyOf", "oneOf"):
        if keyword in part:
            several = [_expanded(each, document, seen) for each in part[keyword]]
            if keyword == "oneOf" and _overlap(several):
                several = [[says | {_EXCLUSIVE: True} for says in each] for each in several]
            factors.append([says for each in several for says in each])
    made: list[Json] = []
    for combination in product(*factors):
        says: Json = {}
        for each in combination:
            says = _both(says, each)
        if says.get("type", True):
            made.append(says)
    return made


def _overlap(several: list[list[Json]]) -> bool:
    types = [{type_.replace("integer", "number") for says in each for type_, _ in _typed(says)} for each in several]
    return sum(map(len, types)) > len(set[str]().union(*types))


def _target(reference: str, document: Json) -> Part:
    if reference != "#" and not reference.startswith("#/"):
        raise _UnknownError(f"{reference} is no path within the file")
    found: Any = document
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise _UnknownError(f"{reference} leads nowhere")
        found = cast(Json, found)[name]
    return cast(Part, found)


def _both(one: Json, other: Json) -> Json:
    """What holds when both hold."""
    made = dict(one)
    for keyword, value in other.items():
        if keyword not in made or _text(made[keyword]) == _text(value):
            made[keyword] = value
        elif keyword == "type":
            left, right = _types(made), _types(other)
            both = [type_ for type_ in right if type_ in left or (type_ == "integer" and "number" in left)]
            made["type"] = both + [type_ for type_ in left if type_ == "integer" and "number" in right]
        elif keyword == "enum":
            texts = {_text(each) for each in value}
            made["enum"] = [each for each in made["enum"] if _text(each) in texts]
        elif keyword == "required":
            made["required"] = [*dict.fromkeys((*made["required"], *value))]
        elif keyword in _LEAST:
            made[keyword] = max(made[keyword], value)
        elif keyword in _MOST:
            made[keyword] = min(made[keyword], value)
        elif keyword == "properties":
            mine = made["properties"]
            made["properties"] = mine | {
                name: {"allOf": [mine[name], part]} if name in mine else part for name, part in value.items()
            }
        else:
            raise _UnknownError(f"{keyword} is said twice")
    for says, beside in ((one, other), (other, one)):
        if not _is_anything(says.get("additionalProperties", True)) and "properties" in beside:
            raise _UnknownError("additionalProperties beside fields of another schema")
    return made


def _default(part: Part, document: Json) -> Any:
    """What a missing value means, which may stand where a reference leads."""
    seen = set[str]()
    while isinstance(part, dict) and "default" not in part and "$ref" in part and part["$ref"] not in seen:
        seen.add(part["$ref"])
        part = _target(part["$ref"], document)
    return part.get("default", _MISSING) if isinstance(part, dict) else _MISSING


def _refers(part: Part) -> bool:
    """There is a reference in it, so that the same words may say something else."""
    return 'ref"' in _text(part).lower()


def _fails(gone: bool, came: bool) -> Fails | None:
    """What went, new readers miss; what came, old readers do not know."""
    if gone and came:
        return Fails.BOTH
    return Fails.NEW if gone else Fails.OLD if came else None


def _is_anything(part: Part) -> bool:
    return part is True or (isinstance(part, dict) and not part.keys() - _ANNOTATIONS)


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        raise _UnknownError(f"the pattern {pattern!r} is not understood") from None


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f"{path}[{json.dumps(name)}]"


def _change(was: Any, is_: Any) -> str:
    return f"was {_shown(was)}, is {_shown(is_)}"


def _shown(value: Any) -> str:
    if value is None or value is _MISSING:
        return "none" if value is _MISSING else "not there"
    return value if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    """JSON in one form; 1.0 is 1."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in cast(Json, value).items()}
    return value
