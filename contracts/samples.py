"""One example message per event, the same in every run, and one story in all of them.

The person who becomes a member in one example is the one whom another commands to forget, so that a
partner can play them one after the other.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from contracts.base import Envelope, Event
from contracts.registry import PARTNERS

TOLD = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)

_SAME_PERSON = {"account_id", "subject_id", "person_id"}
_DAYS_LATER = {"closes_at": 21, "due_by": 30, "due_on": 30, "kept_until": 30, "until": 365}
_WORDS = {
    "cci": "cci-demo",
    "participant": "directory",
    "slug": "achats-responsables",
    "notice_version": "2026-11",
    "signature": "eyJhbGciOiJFUzI1NiJ9..c2lnbmF0dXJl",
}
_OPEN = {
    # What no schema tells: a service's tables.
    "tables": {"membership": {"deleted": 1, "detached": 0, "kept": []}},
    "manifest": {"service": "directory", "tables": {}},
}


def sample(event: type[Event]) -> dict[str, Any]:
    """The CloudEvent as it travels. Raises `TypeError` for a field of which no example is known."""
    schema = event.model_json_schema()
    data = event.model_validate(_value("", schema, schema.get("$defs", {})))
    partner = event.owner == PARTNERS
    told = Envelope(
        specversion="1.0",
        id=_id(event.event_type()),
        source="/partners/demo" if partner else f"/services/{event.owner}",
        type=event.event_type(),
        subject=data.subject,
        time=TOLD,
        datacontenttype="application/json",
        data=data.model_dump(mode="json"),
        **({} if partner else {"sequence": 1}),
    )
    return told.model_dump(mode="json", exclude_unset=True)


def _value(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """An example of what a schema allows; `name` is that of the field, which tells what it means."""
    if "$ref" in schema:
        return _value(name, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in schema:
        return _value(name, schema["anyOf"][0], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {
            field: _value(field, child, definitions)
            for field, child in schema["properties"].items()
        }
    if schema["type"] == "array":
        return [_value(name.removesuffix("s"), schema["items"], definitions)]
    known = _KNOWN.get(schema.get("format", schema["type"]))
    if known is None:
        raise TypeError(f"{name}: say in contracts/samples.py what an example of it looks like")
    return known(name, schema)


def _id(name: str) -> str:
    """An id in the form of UUIDv7, always the same for the same name."""
    name = "person_id" if name in _SAME_PERSON else name
    return f"019ad8f2-1a40-7000-8000-{sha256(name.encode()).hexdigest()[:12]}"


def _instant(name: str) -> datetime:
    return TOLD + timedelta(days=_DAYS_LATER.get(name, 0))


def _text(name: str, schema: Mapping[str, Any]) -> str:
    if schema.get("pattern") == "^[0-9a-f]{64}$":
        return sha256(name.encode()).hexdigest()
    return _WORDS.get(name, name.replace("_", "-"))


_KNOWN: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "uuid": lambda name, _: _id(name),
    "date-time": lambda name, _: _instant(name).isoformat(),
    "date": lambda name, _: _instant(name).date().isoformat(),
    "string": _text,
    "integer": lambda _, schema: max(1, schema.get("minimum", 1)),
    "boolean": lambda _, __: False,
    "object": lambda name, _: _OPEN[name],
}
