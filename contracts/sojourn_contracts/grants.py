"""Who may read what: one file, in YAML, that an installation keeps beside its other settings. It holds no secret.

    clients:
      labour-ministry:
        topics: [public]                       # over Kafka: every public topic
        scopes: [events:ExchangeCompleted]     # over HTTP
      research-institute:
        topics: [ExchangeCompleted, SurveySubmitted]
        own: [institute.again]                 # topics of its own, into which services replay events for it

A client is another system; its name is its user and its consumer group at the broker, and its ``client_id`` where tokens are
given. ``public`` and ``events:public`` stand for every public topic. A topic for analysts is granted by its name alone, an
internal one never. With a topic comes that of its manifests, which prove that nothing is missing. What is ``own`` has one
client that reads it; the services write there when somebody has them replay, and nobody else does.

What follows from the file at a broker stands in ``access``.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from sojourn_contracts.catalogue import SERVICES, TABLE, TOPICS, Topic, Visibility, reserved

PUBLIC = "public"
SCOPE = "events:"
"""What a scope over a topic begins with."""
OWN = (*SERVICES, "survey-sink")
"""Our own users at a broker."""

_CLIENT = re.compile(r"[a-z][a-z0-9-]{1,62}")
_TOPIC = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9._-]{1,249}")
"""Kafka's rule for a topic's name."""
_EACH_PUBLIC = tuple(topic.name for topic in TOPICS if topic.visibility is Visibility.PUBLIC)
_BY_TOPIC = {topic.name: topic for topic in TABLE}


def scope_of(topic: Topic) -> str | None:
    """What a token has to name for the topic to be read over HTTP; nothing does for an internal one."""
    return None if topic.visibility is Visibility.INTERNAL else SCOPE + topic.name


def _granted(name: str) -> str:
    topic = _BY_TOPIC.get(name)
    if name == PUBLIC:
        return name
    if topic is None:
        raise ValueError(f"{name} is no topic of the catalogue")
    if topic.visibility is Visibility.INTERNAL:
        raise ValueError(f"{name} is internal: it says what the services tell each other, and no client may read it")
    if topic.planned:
        raise ValueError(f"{name} is planned: the topic does not exist yet")
    return name


def _granted_scope(scope: str) -> str:
    if not scope.startswith(SCOPE):
        raise ValueError(f"{scope} is no scope: it should be {SCOPE}<topic>, as in {SCOPE}CompanyRegistered")
    _granted(scope.removeprefix(SCOPE))
    return scope


def _own(name: str) -> str:
    if not _TOPIC.fullmatch(name):
        raise ValueError(
            f"{name} cannot be a topic: its name has 1 to 249 of a-z, A-Z, 0-9, ., _ and -, and is not . or .."
        )
    if reason := reserved(name):
        raise ValueError(reason)
    return name


def _client(name: str) -> str:
    if not _CLIENT.fullmatch(name):
        raise ValueError("a client's name has 2 to 63 of a-z, 0-9 and -, and begins with a letter")
    if name in OWN:
        raise ValueError(f"{name} is a user of our own")
    return name


def _listed(names: Iterable[str]) -> Iterator[str]:
    """The topics of these names, and those of their manifests."""
    for name in chain.from_iterable(_EACH_PUBLIC if name == PUBLIC else (name,) for name in names):
        yield name
        if manifest := _BY_TOPIC[name].manifest:
            yield manifest.topic()


class Grant(BaseModel):
    """What one client may read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: tuple[Annotated[str, AfterValidator(_granted)], ...] = ()
    """Over Kafka."""
    scopes: tuple[Annotated[str, AfterValidator(_granted_scope)], ...] = ()
    """Over HTTP, as its tokens name them."""
    own: tuple[Annotated[str, AfterValidator(_own)], ...] = ()
    """Topics beside the catalogue's that it alone reads, and that services may replay events to."""


def _each_of_one(clients: dict[str, Grant]) -> dict[str, Grant]:
    of: dict[str, str] = {}
    for client, grant in clients.items():
        for name in grant.own:
            if of.setdefault(name, client) != client:
                raise ValueError(f"{name} is a topic of {of[name]}'s own, and cannot be {client}'s, too")
    return clients


class Grants(BaseModel):
    """The whole file. Who is not in it may read nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: Annotated[dict[Annotated[str, AfterValidator(_client)], Grant], AfterValidator(_each_of_one)]

    def topics(self, client: str) -> frozenset[str]:
        """Names of the topics that a client may read over Kafka."""
        return frozenset(_listed(self._of(client).topics))

    def own(self, client: str) -> frozenset[str]:
        """Names of the topics of a client's own."""
        return frozenset(self._of(client).own)

    def scopes(self, client: str) -> frozenset[str]:
        """The scopes of a client's tokens, each with the name of a topic."""
        names = [scope.removeprefix(SCOPE) for scope in self._of(client).scopes]
        return frozenset(SCOPE + name for name in _listed(names))

    def _of(self, client: str) -> Grant:
        return self.clients.get(client) or Grant()


class GrantsError(ValueError):
    """The file cannot be read; each line of the text has the file, the line in it, the field and what is wrong."""


def read(file: Path) -> Grants:
    """What the file says.

    Raises:
        GrantsError: it is not there, is not YAML, or does not say what it should.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise GrantsError(f"{file}: {error}") from None
    return parse(text, str(file))


def parse(text: str, name: str = "grants") -> Grants:
    """What the text of such a file says; ``name`` is what errors call it.

    Raises:
        GrantsError: it is not YAML, or does not say what it should.
    """
    import yaml  # read by who grants, not by who subscribes

    try:
        root = cast("Any", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
        repeated = [f"{name}:{line}: {path}: stands there twice" for line, path in _repeated(root)]
        said = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GrantsError(f"{name}:{line}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise GrantsError(f"{name}: {error}") from None
    if root is None:
        raise GrantsError(f"{name}: it is empty; nobody is granted anything by `clients: {{}}`")
    if repeated:
        raise GrantsError("\n".join(repeated))
    try:
        return Grants.model_validate(said)
    except ValidationError as error:
        lines = [
            f"{name}:{_line(root, entry['loc'])}: {_path(entry['loc'])}: {_said(entry['type'], entry['msg'])}"
            for entry in error.errors(include_url=False, include_input=False)
        ]
        raise GrantsError("\n".join(lines)) from None


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a mapping's node; none of another's, and of an empty file's."""
    return cast("list[tuple[Any, Any]]", node.value) if node is not None and node.id == "mapping" else []


def _repeated(node: Any, path: str = "") -> Iterator[tuple[int, str]]:
    """Line and path of each key that its mapping has had before: YAML's readers take the last one, and say nothing."""
    seen = set[str]()
    for key, value in _pairs(node):
        where = f"{path}.{key.value}".lstrip(".")
        if str(key.value) in seen:
            yield key.start_mark.line + 1, where
        seen.add(str(key.value))
        yield from _repeated(value, where)


def _line(root: Any, location: Sequence[str | int]) -> int:
    """Where the field stands, or what it would have to stand in."""
    node, line = root, root.start_mark.line
    for part in location:
        if node.id == "sequence" and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
            continue
        found = [(key, value) for key, value in _pairs(node) if str(key.value) == str(part)]
        if not found:
            break
        key, node = found[0]
        line = key.start_mark.line
    return line + 1


def _path(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "the file"


def _said(kind: str, message: str) -> str:
    return _OURS.get(kind) or message.removeprefix("Value error, ").removeprefix("Input ")


_OURS = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "model_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "tuple_type": "should be a list",
}
"""Our words for what pydantic says of Python."""
