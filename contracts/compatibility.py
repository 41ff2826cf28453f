"""What may change in a schema that others rely on; anything else is a new version beside it.

A message that we send is read by consumers of yesterday, and may itself have waited since yesterday
in a queue for a consumer of tomorrow. So its schema must accept the same before and after: only
fields that nobody has to know may be added. A message that partners send us is ours to read only:
there the new schema must accept all that the old one did, and may accept more.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

ACCEPTED: Mapping[str, str] = {}
"""Breaking changes that are made all the same: the sentence as printed, and why nobody is harmed.

For instance a fact that nobody hears any more. Entries may go with the next release.
"""

REMEDY = (
    "What was published stays as it is. Put a class of the next version beside it (`version=2`), "
    "publish both until everybody has moved, then retire the old one in contracts/compatibility.py."
)

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_JUDGED = {
    *(*_LOWER, *_UPPER, "type", "enum", "const", "pattern", "format", "default", "anyOf"),
    *("items", "properties", "required", "additionalProperties", "propertyNames"),
}
_WORDS = {"title", "description", "examples", "$schema", "$defs", "x-exchange", "x-routing-key"}


class _Refusal(NamedTuple):
    """Why something that was said may not be understood."""

    path: str
    keyword: str
    said: Any
    understood: Any


def breaks(old: Schema, new: Schema, *, heard: bool = False) -> list[str]:
    """The breaking changes between two schemas of one message, a sentence each.

    `heard`: partners send it and we read it. A change that cannot be judged counts as breaking.
    """
    before, after = _inlined(old, old.get("$defs", {})), _inlined(new, new.get("$defs", {}))
    found = [
        f"{word} was {old.get(key)} and is {new.get(key)}"
        for key, word in (("x-exchange", "the exchange"), ("x-routing-key", "the routing key"))
        if old.get(key) != new.get(key)
    ]
    found += [
        _sentence(one.path, one.keyword, one.said, one.understood)
        for one in _refusals(before, after, "")
    ]
    if not heard:
        found += [
            _sentence(one.path, one.keyword, one.understood, one.said)
            for one in _refusals(after, before, "", whole=True)
        ]
    return list(dict.fromkeys(found))


def all_breaks(
    old: Mapping[str, Schema], new: Mapping[str, Schema], *, heard_prefix: str
) -> list[str]:
    """The breaking changes between two sets of schemas by event type; accepted ones are left out."""
    found = []
    for name, schema in sorted(old.items()):
        if name not in new:
            found.append(f"{name}: the event is gone")
        else:
            heard = name.startswith(heard_prefix)
            found += [f"{name}: {one}" for one in breaks(schema, new[name], heard=heard)]
    return [sentence for sentence in found if sentence not in ACCEPTED]


def _inlined(node: Any, definitions: Schema, *, within: tuple[str, ...] = ()) -> Any:
    """The schema with each `$ref` replaced by what it points to; a recursive one stays a word."""
    if isinstance(node, list):
        return [_inlined(one, definitions, within=within) for one in node]
    if not isinstance(node, Mapping):
        return node
    if isinstance(reference := node.get("$ref"), str):
        name = reference.removeprefix("#/$defs/")
        if name in within or name not in definitions:
            return dict(node)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _inlined({**definitions[name], **beside}, definitions, within=(*within, name))
    return {
        key: value if key == "$defs" else _inlined(value, definitions, within=within)
        for key, value in node.items()
    }


def _refusals(
    said: Schema, understood: Schema, path: str, *, whole: bool = False
) -> Iterator[_Refusal]:
    """Why a value that `said` allows might not be allowed by `understood`.

    `whole`: a field that is understood must also be among those that may be said.
    """
    if "default" in said and "default" in understood and said["default"] != understood["default"]:
        yield _Refusal(path, "default", said["default"], understood["default"])
    for key in sorted({*said, *understood} - _JUDGED - _WORDS):
        if said.get(key) != understood.get(key):
            yield _Refusal(path, key, said.get(key, _ABSENT), understood.get(key, _ABSENT))
    if "anyOf" in said or "anyOf" in understood:
        yield from _choices(said, understood, path, whole=whole)
        return
    yield from _limits(said, understood, path)
    yield from _fields(said, understood, path, whole=whole)
    for key, place in (("items", f"{path}[]"), ("propertyNames", f"{path} (keys)")):
        if understood.get(key):
            yield from _refusals(said.get(key, {}), understood[key], place, whole=whole)


def _choices(said: Schema, understood: Schema, path: str, *, whole: bool) -> Iterator[_Refusal]:
    possible = understood.get("anyOf", [understood])
    for one in said.get("anyOf", [said]):
        tries = [list(_refusals(one, other, path, whole=whole)) for other in possible]
        if all(tries):
            alike = [
                found
                for other, found in zip(possible, tries, strict=True)
                if other.get("type") == one.get("type")
            ]
            yield from (
                alike[0] if alike else [_Refusal(path, "type", _types(said), _types(understood))]
            )


def _limits(said: Schema, understood: Schema, path: str) -> Iterator[_Refusal]:
    """What a single value may be."""
    values = _values(said)
    if "type" in understood:
        spoken, known = _types(said), _types(understood)
        if not set(spoken) <= {*known, *(["integer"] if "number" in known else [])}:
            yield _Refusal(path, "type", spoken, known)
    if (known_values := _values(understood)) is not None and (
        values is None or any(value not in known_values for value in values)
    ):
        yield _Refusal(path, "values", values, known_values)
    for key in ("pattern", "format"):
        if key in understood and said.get(key) != understood[key]:
            yield _Refusal(path, key, said.get(key, _ABSENT), understood[key])
    for keys, sign in ((_LOWER, 1), (_UPPER, -1)):
        for key in keys:
            if key in understood and (key not in said or sign * (said[key] - understood[key]) < 0):
                yield _Refusal(path, key, said.get(key, _ABSENT), understood[key])


def _fields(said: Schema, understood: Schema, path: str, *, whole: bool) -> Iterator[_Refusal]:
    """What an object may hold."""
    spoken, known = said.get("properties", {}), understood.get("properties", {})
    others, other_known = (one.get("additionalProperties", True) for one in (said, understood))
    gone = [name for name in known if name not in spoken] if whole else []
    for name in gone:
        yield _Refusal(_under(path, name), "gone", None, None)
    for name in understood.get("required", ()):
        if name not in said.get("required", ()) and name not in gone:
            yield _Refusal(_under(path, name), "required", False, True)
    for name in {**spoken, **known}:
        # An unknown field may be anything, but nobody means it: that is how fields can be added.
        if name in spoken or isinstance(others, Mapping):
            yield from _inside(
                spoken.get(name, others),
                known.get(name, other_known),
                _under(path, name),
                whole=whole,
            )
    if others is not False:
        yield from _inside(others, other_known, _under(path, "*"), whole=whole)


def _inside(said: Any, understood: Any, path: str, *, whole: bool) -> Iterator[_Refusal]:
    if understood is False:
        yield _Refusal(path, "gone", None, None)
    elif understood is not True:
        yield from _refusals({} if said is True else said, understood, path, whole=whole)


_ABSENT = "absent"


def _types(schema: Schema) -> list[str]:
    """The types that a value may have, choices included; none written is any."""
    if "anyOf" in schema:
        return [name for one in schema["anyOf"] for name in _types(one)]
    written = schema.get("type", "anything")
    return [written] if isinstance(written, str) else list(written)


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _sentence(path: str, keyword: str, was: Any, now: Any) -> str:
    where = path or "the message"
    if keyword == "gone":
        return f"{where}: the field is gone"
    if keyword == "required":
        return f"{where}: the field is {'required now' if now else 'no longer always there'}"
    if keyword == "values" and was and now:
        lost = [repr(value) for value in was if value not in now]
        fresh = [repr(value) for value in now if value not in was]
        parts = [f"{', '.join(lost)} may no longer be said"] if lost else []
        parts += [f"{', '.join(fresh)} is unknown to those who know the rest"] if fresh else []
        return f"{where}: {'; '.join(parts)}"
    if keyword == "type":
        was, now = " or ".join(was), " or ".join(now)
    if keyword == "values":
        was, now = (value or "anything" for value in (was, now))
    return f"{where}: {keyword} was {was} and is {now}"
