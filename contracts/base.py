"""The shape that every message between services shares: a CloudEvent whose data is one of our models.

Events carry opaque identifiers and closed vocabularies only: no name, no address, no free text
(promise N8.1; `tests/contracts` walks every schema). A consumer ignores fields it does not know, so
that a producer may add some; removing or narrowing one is a new version, hence a new class.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

TYPE_PREFIX = "fr.ccibusiness"


class Kind(StrEnum):
    """What a message is, and with it the exchange that carries it."""

    FACT = "ccib.events"
    """Something that happened; anyone may listen."""
    COMMAND = "ccib.commands"
    """Something that must be done; unroutable is an alarm, so this exchange has no alternate."""
    ANSWER = "ccib.acks"
    """An answer to a command; the broker vouches for who speaks."""


class _Person:
    """Marks the field that names the data subject of an event."""


PersonId = Annotated[UUID, _Person()]
"""The opaque id of a natural person: the account id, the same in every service."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
"""A stable public identifier made of words, such as a community's place in an address."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

CompactJws = Annotated[str, Field(pattern=r"^[\w-]*\.[\w-]*\.[\w-]*$", max_length=1000)]
"""A compact JWS (RFC 7515), possibly with a detached payload."""


Word = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=200)]
"""Visible ASCII: an index and a log line can hold whatever a stranger writes here."""


class Event(BaseModel):
    """Base of every message; subclasses name themselves by their class arguments.

    `owner`: the service that alone may publish it. `fact`: past tense for a fact, imperative for a
    command. `subject`: the field whose value is the CloudEvent's subject and the key of ordering.

    A fact names one person at most, in a field of its own (`PersonId` or `PersonId | None`), and an
    answer names nobody; another class is refused. The fence drops a message whole when somebody in
    it was erased: with two people in one fact it would take the living one's news away, and with
    people inside lists or parts it would not see them, so that a late fact could bring them back.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    owner: ClassVar[str]
    fact: ClassVar[str]
    version: ClassVar[int]
    kind: ClassVar[Kind]
    subject_field: ClassVar[str]

    def __init_subclass__(cls, **names: Any) -> None:
        super().__init_subclass__()  # the names are read below, once the fields are known

    @classmethod
    def __pydantic_init_subclass__(  # type: ignore[override]  # the names are ours to require
        cls, *, owner: str, fact: str, subject: str, version: int = 1, kind: Kind = Kind.FACT
    ) -> None:
        cls.owner, cls.fact, cls.version, cls.kind = owner, fact, version, kind
        cls.subject_field = subject
        if subject not in cls.model_fields:
            raise TypeError(f"{cls.__name__}: its subject {subject!r} is not one of its fields")
        seen = cls.person_fields()
        hidden = [
            name
            for name, field in cls.model_fields.items()
            if name not in seen and _mentions_a_person(field.annotation)
        ]
        if kind is Kind.FACT and (hidden or len(seen) > 1):
            raise TypeError(f"{cls.__name__}: a fact names one person at most, in one plain field")
        if kind is Kind.ANSWER and (hidden or seen):
            raise TypeError(f"{cls.__name__}: an answer is about erased people, and names none")

    @property
    def subject(self) -> str:
        """The id of the person or thing the event is about."""
        return str(getattr(self, self.subject_field))

    @classmethod
    def event_type(cls) -> str:
        """The CloudEvents `type`, for instance `fr.ccibusiness.identity.account_opened.v1`."""
        return f"{TYPE_PREFIX}.{cls.owner}.{cls.fact}.v{cls.version}"

    @classmethod
    def routing_key(cls) -> str:
        """The AMQP routing key. Answers share one key each, whoever gives them."""
        if cls.kind is Kind.ANSWER:
            return cls.fact
        return f"{cls.owner}.{cls.fact}.v{cls.version}"

    @classmethod
    def person_fields(cls) -> tuple[str, ...]:
        """The fields that name a natural person, or nobody; the fence looks at these."""
        return tuple(
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(mark, _Person) for mark in field.metadata)
            or _is_person_or_none(field.annotation)
        )

    def people(self) -> Iterator[UUID]:
        """The natural persons whom this event names."""
        for name in self.person_fields():
            value = getattr(self, name)
            if value is not None:
                yield value


def _is_person(annotation: Any) -> bool:
    return any(isinstance(mark, _Person) for mark in getattr(annotation, "__metadata__", ()))


def _is_person_or_none(annotation: Any) -> bool:
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return [_is_person(one) for one in choices if one is not NoneType] == [True]


def _mentions_a_person(annotation: Any) -> bool:
    """Whether a person is named anywhere inside: in a choice, a collection, or a part."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(
            any(isinstance(mark, _Person) for mark in field.metadata)
            or _mentions_a_person(field.annotation)
            for field in annotation.model_fields.values()
        )
    return _is_person(annotation) or any(map(_mentions_a_person, get_args(annotation)))


class Envelope(BaseModel):
    """A CloudEvent 1.0 in structured JSON (`application/cloudevents+json`), as it travels."""

    model_config = ConfigDict(extra="ignore")

    specversion: str = Field(default="1.0", pattern=r"^1\.0$")
    id: UUID
    """UUIDv7; what the inbox remembers."""
    source: Word
    """`/services/<name>` or `/partners/<name>`."""
    type: Word
    subject: Word
    time: datetime
    datacontenttype: str = "application/json"
    sequence: int | None = None
    """Rises by aggregate; a consumer that is not bound to every fact sees gaps."""
    traceparent: str | None = None
    data: dict[str, Any]
