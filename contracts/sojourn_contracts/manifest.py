"""Manifests: what a service signs for every hour in which it put events on a topic, so that subscribers can prove to have them.

``completeness`` compares what was received with them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, Field, StringConstraints

from sojourn_contracts.event import Event

ALGORITHM = "Ed25519"
"""The only one that is taken, under the name that RFC 9864 gives it."""
HOUR = timedelta(hours=1)
NAMESPACE = uuid5(NAMESPACE_URL, "urn:sojourn:manifest")

TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,60}[.v0-9]{0,4}$")]
Source = Annotated[str, StringConstraints(pattern=r"^sojourn/[a-z]{1,40}$")]
Signature = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,500}\.\.[A-Za-z0-9_-]{86}$")]
Number = Annotated[int, Field(ge=1, lt=10**18)]
Jwk = Mapping[str, Any]


class ManifestIssued(Event):
    """Which events a service put on a public topic within an hour, signed: who has them, and all manifests, has missed nothing.

    A manifest covers the events of one topic, source and generation whose `ce_sequence` lies between `first_sequence` and
    `last_sequence`, both included: those that the service wrote within that hour of the day (never of the programme). What came
    to the log after its hour's manifest, because its transaction or the relay was slow, stands in the next one. So every
    event is in one manifest, each manifest follows on the one before, and an hour without events has none. It is issued a
    minute or more after its hour.

    The digest is the SHA-256, in hexadecimal, of the events' ids in the order of their sequences: the 16 bytes of each `ce_id`
    (RFC 9562, the hexadecimal digits without the hyphens), one after the other, nothing between them. Tombstones have ids, too.

    The statement that is signed is a text in ASCII of ten lines, each ended by one line feed (0x0A): `sojourn-manifest-1`, topic,
    source, generation, hour (as in `2026-07-20T14:00:00Z`), first sequence, last sequence, count, digest, and previous, which is
    an empty line where there is none; numbers in decimal, ids in lower case.

    The signature is a JSON Web Signature in compact form with detached content (RFC 7515, appendix F): put the statement, in
    base64url without padding, between its two dots, and any JOSE library verifies it. The same without one: verify Ed25519
    (RFC 8032) of what then stands before the second dot, with the 64 bytes that stand after it in base64url. Take no other
    algorithm than `Ed25519`, and only the key of that `kid` from the source's own `/.well-known/manifest-keys.json` whose
    member `source` is the manifest's source.

    `manifest_id` is the version-5 UUID of the statement in the namespace `a3bdf96d-a5f1-5f75-8884-37c91a0f94ed`, so what
    `previous` names is what was said there, and nothing else.
    """

    key: ClassVar[str] = "manifest_id"

    manifest_id: UUID
    topic_name: TopicName
    """Of the events."""
    source: Source
    """`ce_source` of the events: `sojourn/` and the service."""
    generation: Number
    """`ce_generation` of the events."""
    hour: AwareDatetime
    """Its first instant, by the time of day."""
    first_sequence: Number
    last_sequence: Number
    count: Number
    """Of the events: sequences have no holes, so it is last less first and one more."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    previous: UUID | None = None
    """`manifest_id` of the manifest before it, of this topic and source; none before the first. A generation's first one names
    the last one of the generation before."""
    signature: Signature

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        return statement(
            self.topic_name,
            self.source,
            self.generation,
            self.hour,
            self.first_sequence,
            self.last_sequence,
            self.count,
            self.digest,
            self.previous,
        )

    @property
    def ends(self) -> datetime:
        """The first instant after its hour."""
        return self.hour + HOUR


class SurveyManifestIssued(ManifestIssued):
    """The same of the survey's records: how many were released in an hour is for whoever may read the records, and nobody else.

    All that is said of ManifestIssued holds.
    """


def statement(
    topic_name: str,
    source: str,
    generation: int,
    hour: datetime,
    first_sequence: int,
    last_sequence: int,
    count: int,
    digest: str,
    previous: UUID | None,
) -> bytes:
    """The bytes that are signed, as ManifestIssued says."""
    lines = (
        "sojourn-manifest-1",
        topic_name,
        source,
        generation,
        hour.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        first_sequence,
        last_sequence,
        count,
        digest,
        previous or "",
    )
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def id_of(said: bytes) -> UUID:
    """The id of the manifest with this statement."""
    return uuid5(NAMESPACE, said.decode("ascii"))


class Distrusted(ValueError):  # noqa: N818 - it describes the manifest
    """The manifest was not signed by its source, or not as it stands; the text says what is wrong."""


class Disputed(ValueError):  # noqa: N818 - it describes the documents
    """Documents of keys name what is not theirs to name, so none of them is believed; the text says what."""


def trusted_keys(*documents: Mapping[str, Any]) -> dict[str, Jwk]:
    """The keys by their names, as services have them at ``/.well-known/manifest-keys.json``; keys of other kinds are left out.

    A document speaks for one source, and a source has one set of keys, so that no service can sign as another one whose document
    is here as well.

    Raises:
        Disputed: a document names several sources, two name different keys of one source, or one name stands for two keys.
    """
    keys: dict[str, Jwk] = {}
    of_source: dict[str, dict[str, str]] = {}
    for document in documents:
        its = [key for key in document["keys"] if key.get("crv") == ALGORITHM and {"kid", "x", "source"} <= key.keys()]
        sources = sorted({str(key["source"]) for key in its})
        if len(sources) > 1:
            raise Disputed(f"one document names keys of several sources: {', '.join(sources)}")
        said = {str(key["kid"]): str(key["x"]) for key in its}
        for source in sources:
            if of_source.setdefault(source, said) != said:
                raise Disputed(f"two documents name different keys of {source}")
        for key in its:
            other = keys.setdefault(str(key["kid"]), key)
            if (other["source"], other["x"]) != (key["source"], key["x"]):
                raise Disputed(f"the key {key['kid']} of {key['source']} is another one of {other['source']}")
    return keys


def check(manifest: ManifestIssued, keys: Mapping[str, Jwk]) -> None:
    """Makes sure that a manifest says what its source signed. Needs joserfc: the extra ``kit``.

    Raises:
        Distrusted: it does not, or none of the keys is the one that it names.
    """
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import OKPKey

    said = manifest.statement
    if manifest.manifest_id != id_of(said):
        raise Distrusted("the id is not that of the statement")
    if manifest.count != manifest.last_sequence - manifest.first_sequence + 1:
        raise Distrusted("the count is not that of the sequences")
    try:
        signed = jws.extract_compact(manifest.signature.encode(), said)
        kid = str(signed.headers().get("kid"))
        if kid not in keys or keys[kid]["source"] != manifest.source:
            raise Distrusted(f"no key {kid[:100]!r} of {manifest.source} is known")
        key = OKPKey.import_key({name: str(keys[kid][name]) for name in ("kty", "crv", "x")})
        sound = jws.validate_compact(signed, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError) as error:
        if isinstance(error, Distrusted):
            raise
        raise Distrusted("the signature cannot be read") from None
    if not sound:
        raise Distrusted("the signature is not that of the statement")
