"""What may change in a schema, and what the command does about the rest."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts import compatibility
from contracts.__main__ import main
from contracts.compatibility import all_breaks, breaks
from contracts.directory import CommunityOpened
from contracts.privacy import Erase, ErasureAcknowledged
from contracts.registry import HEARD_FROM_PARTNERS, all_events, schema_of

Json = dict[str, Any]
Change = Callable[[Json], Any]

OLD: Json = {
    "type": "object",
    "title": "Something",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 80},
        "role": {"$ref": "#/$defs/Role"},
        "count": {"type": "integer", "minimum": 1, "maximum": 500},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 1, "maxItems": 9},
        "tables": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/Part"},
            "propertyNames": {"pattern": "^[a-z]+$"},
        },
    },
    "required": ["id", "word", "role", "count", "parts"],
    "$defs": {
        "Role": {"type": "string", "enum": ["administrator", "colleague"]},
        "Part": {
            "type": "object",
            "properties": {"rows": {"type": "integer"}, "until": {"type": "string"}},
            "required": ["rows"],
        },
    },
    "x-exchange": "ccib.events",
    "x-routing-key": "directory.something.v1",
}


def at(path: str, change: Change) -> Change:
    """The change, applied to a node of the schema."""

    def apply(schema: Json) -> None:
        node: Any = schema
        for step in path.split("/") if path else ():
            node = node[step]
        change(node)

    return apply


def put(path: str, **values: Any) -> Change:
    return at(path, lambda node: node.update(values))


def drop(path: str, key: str) -> Change:
    return at(path, lambda node: node.pop(key))


def optional(path: str, name: str) -> Change:
    return at(path, lambda node: node["required"].remove(name))


def required(path: str, name: str) -> Change:
    return at(path, lambda node: node["required"].append(name))


GONE = "the field is gone"
PART = "$defs/Part"

# The change; what is said about it in a message that we send, and in one that partners send us.
TABLE: list[tuple[str, Change, str | None, str | None]] = [
    ("nothing", lambda _: None, None, None),
    ("a title", put("", title="Other"), None, None),
    ("a description", put("properties/word", description="A word."), None, None),
    ("an optional field", put("properties", new={"type": "string"}), None, None),
    ("an optional field inside", put(f"{PART}/properties", new={"type": "integer"}), None, None),
    (
        "the exchange",
        put("", **{"x-exchange": "ccib.acks"}),
        "the exchange was",
        "the exchange was",
    ),
    (
        "the key",
        put("", **{"x-routing-key": "a.b.v1"}),
        "the routing key was",
        "the routing key was",
    ),
    ("a field goes", drop("properties", "note"), f"note: {GONE}", None),
    ("a field inside goes", drop(f"{PART}/properties", "until"), f"parts[].until: {GONE}", None),
    ("a required field goes", drop("properties", "count"), f"count: {GONE}", None),
    ("a field becomes required", required("", "note"), "required now", "required now"),
    (
        "one inside does",
        required(PART, "until"),
        "parts[].until: the field is required",
        "required",
    ),
    ("a field becomes optional", optional("", "word"), "no longer always there", None),
    (
        "a new required field",
        lambda schema: (
            put("properties", new={"type": "string"})(schema),
            required("", "new")(schema),
        ),
        "new: the field is required now",
        "new: the field is required now",
    ),
    (
        "another type",
        put("properties/count", type="string"),
        "integer and is string",
        "count: type",
    ),
    ("a wider type", put("properties/count", type="number"), "integer and is number", None),
    (
        "a narrower type",
        put("$defs/Part/properties/until", type="null"),
        "until: type",
        "until: type",
    ),
    (
        "it may be null",
        put("properties", word={"anyOf": [OLD["properties"]["word"], {"type": "null"}]}),
        "word: type was string and is string or null",
        None,
    ),
    (
        "it may not be null",
        put("properties/note", anyOf=[{"type": "string"}]),
        "note: type was string or null and is string",
        "note: type was string or null and is string",
    ),
    ("a word goes", put("$defs/Role", enum=["colleague"]), "'administrator' may no", "'administr"),
    (
        "a word comes",
        put("$defs/Role", enum=["administrator", "colleague", "guest"]),
        "role: 'guest' is unknown to those",
        None,
    ),
    ("all words", drop("$defs/Role", "enum"), "is anything", None),
    ("only some words", put("properties/word", enum=["a"]), "values was anything", "was anything"),
    ("another pattern", put("properties/word", pattern="^[a-z]{3}$"), "pattern", "pattern"),
    ("no pattern", drop("properties/word", "pattern"), "pattern was ^[a-z]+$ and is absent", None),
    (
        "a new pattern",
        at("properties/note", lambda node: node["anyOf"][0].update(pattern="^x")),
        "note: pattern",
        "note: pattern",
    ),
    ("no format", drop("properties/id", "format"), "format was uuid and is absent", None),
    ("another format", put("properties/id", format="date"), "format was uuid", "format was uuid"),
    ("shorter", put("properties/word", maxLength=40), "80 and is 40", "80 and is 40"),
    ("longer", put("properties/word", maxLength=200), "80 and is 200", None),
    ("without end", drop("properties/word", "maxLength"), "80 and is absent", None),
    ("a higher floor", put("properties/count", minimum=2), "1 and is 2", "1 and is 2"),
    ("a lower floor", put("properties/count", minimum=0), "1 and is 0", None),
    ("fewer parts", put("properties/parts", maxItems=5), "9 and is 5", "9 and is 5"),
    ("more parts", put("properties/parts", maxItems=50), "9 and is 50", None),
    (
        "parts of something",
        put("properties/parts", items={"type": "string"}),
        "parts[]: t",
        "parts[]",
    ),
    ("parts of anything", drop("properties/parts", "items"), "parts[]: type", None),
    ("other keys", put("properties/tables", propertyNames={"pattern": "^x"}), "(keys)", "(keys)"),
    (
        "other tables",
        put("properties/tables", additionalProperties={"type": "string"}),
        "tables.*: type was object and is string",
        "tables.*: type",
    ),
    ("closed", put("", additionalProperties=False), f"*: {GONE}", f"*: {GONE}"),
    ("another default", put("properties/note", default="x"), "note: default", "note: default"),
    (
        "a word we do not know",
        put("properties/parts", uniqueItems=True),
        "uniqueItems",
        "uniqueItems",
    ),
    (
        "a constant",
        put("properties", word={"type": "string", "const": "a"}),
        "word: values",
        "word: values",
    ),
]


@pytest.mark.parametrize(
    ("change", "sent", "heard"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_each_change_is_judged(change: Change, sent: str | None, heard: str | None) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    for expected, found in (
        (sent, breaks(OLD, new)),
        (heard, breaks(OLD, new, heard=True)),
    ):
        if expected is None:
            assert found == []
        else:
            assert any(expected in sentence for sentence in found), found


@pytest.mark.parametrize("name", all_events())
def test_a_schema_breaks_nothing_of_itself(name: str) -> None:
    schema = schema_of(all_events()[name])
    assert breaks(schema, copy.deepcopy(schema)) == []


def test_an_event_that_is_gone_is_noticed_and_a_new_one_is_welcome() -> None:
    assert all_breaks({"a.v1": OLD}, {"a.v2": OLD}, heard_prefix="p.") == [
        "a.v1: the event is gone"
    ]
    assert all_breaks({}, {"a.v1": OLD}, heard_prefix="p.") == []


def test_what_partners_send_is_judged_as_what_we_read() -> None:
    wider = copy.deepcopy(OLD)
    put("properties/count", maximum=1000)(wider)
    assert all_breaks({"p.a.v1": OLD}, {"p.a.v1": wider}, heard_prefix="p.") == []
    assert len(all_breaks({"q.a.v1": OLD}, {"q.a.v1": wider}, heard_prefix="p.")) == 1
    assert any(name.startswith(HEARD_FROM_PARTNERS) for name in all_events())


# --- the property: what is judged harmless is harmless ------------------------------------------


def documents(schema: Any, definitions: Json) -> st.SearchStrategy[Any]:
    """Values that a schema allows, of the kinds that pydantic writes."""
    if "$ref" in schema:
        return documents(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in schema:
        return st.one_of([documents(one, definitions) for one in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        fields = {
            name: documents(child, definitions)
            for name, child in schema.get("properties", {}).items()
        }
        must = set(schema.get("required", ())) & fields.keys()
        known = st.fixed_dictionaries(
            {name: value for name, value in fields.items() if name in must},
            optional={name: value for name, value in fields.items() if name not in must},
        )
        if not isinstance(others := schema.get("additionalProperties"), dict):
            return known
        return st.dictionaries(st.sampled_from(["a", "bc"]), documents(others, definitions))
    if kind == "array":
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", 3), 10)
        item = documents(schema.get("items", {"type": "null"}), definitions)
        return st.one_of(  # the limits first: that is where changes show
            [st.lists(item, min_size=size, max_size=size) for size in {least, max(least, most)}]
        )
    if kind == "string":
        if schema.get("format") == "uuid":
            return st.uuids().map(str)
        if schema.get("format") == "date-time":
            return st.just("2026-12-01T09:30:00Z")
        if schema.get("format") == "date":
            return st.dates().map(str)
        longest = schema.get("maxLength", 500)
        if "pattern" in schema:
            return st.from_regex(schema["pattern"]).filter(lambda text: len(text) <= longest)
        return st.text(max_size=min(longest, 90), min_size=schema.get("minLength", 0))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        "integer": st.sampled_from(
            [schema[key] for key in ("minimum", "maximum") if key in schema] or [0, -7]
        ),
        "number": st.integers(-5, 1000) | st.sampled_from([0.5, 2.5]),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple.get(kind, st.sampled_from(["x", 1, None]))


def nodes(node: Any) -> Iterator[Json]:
    """Every schema inside a schema."""
    yield node
    for group in ("properties", "$defs"):
        for child in node.get(group, {}).values():
            yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key])
    for child in node.get("anyOf", ()):
        yield from nodes(child)


LIMITS = ("minimum", "maximum", "maxLength", "minItems", "maxItems")


ADDED = st.sampled_from([{"type": "string", "maxLength": 5}, {"type": "integer"}])


def changes(node: Json) -> Iterator[st.SearchStrategy[Any]]:
    """What can be done to one schema: what to put into it, None to take out."""
    fields, must = node.get("properties"), set(node.get("required", ()))
    if fields is not None:
        yield ADDED.map(lambda new: {"properties": {**fields, "added": new}})
    if fields:
        name = st.sampled_from(sorted(fields))
        yield name.map(lambda one: {"required": sorted(must ^ {one})})
        yield name.map(
            lambda one: {
                "properties": {key: value for key, value in fields.items() if key != one},
                "required": sorted(must - {one}),
            }
        )
    for key in LIMITS:
        if key in node:
            yield st.sampled_from([-1, 1]).map(lambda by, key=key: {key: max(0, node[key] + by)})
    for key in (*LIMITS, "pattern", "format", "enum"):
        if key in node:
            yield st.just({key: None})
    if "enum" in node:
        yield st.sampled_from([[*node["enum"], "new"], node["enum"][1:] or ["new"]]).map(
            lambda words: {"enum": words}
        )
    if node.get("type") == "integer":
        yield st.sampled_from(["number", "string"]).map(lambda kind: {"type": kind})


def mutate(draw: Any, schema: Json) -> None:
    """One change, anywhere in the schema."""
    possible = [(node, change) for node in nodes(schema) for change in changes(node)]
    node, change = draw(st.sampled_from(possible))
    for key, value in draw(change).items():
        if value is None:
            node.pop(key)
        else:
            node[key] = value


EVENTS = (CommunityOpened, Erase, ErasureAcknowledged)
SCHEMAS: list[Json] = [OLD, OLD, OLD, *(event.model_json_schema() for event in EVENTS)]
"""One with everything, and real ones of each shape."""


def invalid(document: Any, schema: Json) -> list[str]:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(document)]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_is_judged_harmless_keeps_every_message_valid(data: st.DataObject) -> None:
    old = data.draw(st.sampled_from(SCHEMAS))
    new = copy.deepcopy(old)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(data.draw, new)
    if not breaks(old, new, heard=True):
        said = data.draw(documents(old, old.get("$defs", {})))
        assert invalid(said, new) == [], "we no longer read what was said before"
    if not breaks(old, new):
        said = data.draw(documents(new, new.get("$defs", {})))
        assert invalid(said, old) == [], "who listens since before no longer reads it"


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_adding_fields_that_nobody_must_know_is_never_refused(data: st.DataObject) -> None:
    old = data.draw(st.sampled_from(SCHEMAS))
    new = copy.deepcopy(old)
    for node in nodes(new):
        if "properties" in node and data.draw(st.booleans()):
            node["properties"]["added"] = {"type": "string", "format": "uuid"}
    assert breaks(old, new) == []
    assert breaks(old, new, heard=True) == []


# --- the command ---------------------------------------------------------------------------------

GRANTED = "fr.ccibusiness.directory.membership_granted.v1"


def git(folder: Path, *words: str) -> str:
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        *words,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The generated files of the code as it is, committed on `main`."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    assert main([], folder=folder) == 0
    git(folder, "init", "-qb", "main")
    commit(folder)
    return folder


def promise(folder: Path, *, name: str = GRANTED, field: str = "promised") -> None:
    """Let the files promise a field that the code does not have."""
    path = folder / "schemas" / f"{name}.json"
    schema = json.loads(path.read_text())
    schema["properties"]["data"]["properties"][field] = {"type": "string"}
    path.write_text(json.dumps(schema))


def test_a_promise_on_main_is_not_overwritten(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promise(repository)
    commit(repository)
    before = (repository / "schemas" / f"{GRANTED}.json").read_text()
    assert main([], folder=repository) == 1
    said = capsys.readouterr().out
    assert f"{GRANTED}: data.promised: the field is gone" in said
    assert "version=2" in said
    assert (repository / "schemas" / f"{GRANTED}.json").read_text() == before
    assert main(["--check"], folder=repository) == 1


def test_what_was_never_committed_may_change(repository: Path) -> None:
    promise(repository)
    assert main(["--check"], folder=repository) == 1
    assert main([], folder=repository) == 0
    assert main(["--check"], folder=repository) == 0


def test_a_branch_is_held_against_where_it_left_main(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "checkout", "-qb", "work")
    promise(repository)
    commit(repository)
    assert main([], folder=repository) == 0, "what only the branch has, the branch may take back"
    git(repository, "checkout", "-q", "--force", "main")
    promise(repository, field="another")
    commit(repository)
    git(repository, "checkout", "-q", "work")
    assert main([], folder=repository) == 0, (
        "what main added meanwhile is no business of the branch"
    )
    capsys.readouterr()
    assert main(["--base", "main"], folder=repository) == 1
    assert "since main" in capsys.readouterr().out


def test_the_newest_release_is_what_counts(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promise(repository, field="released")
    commit(repository)
    git(repository, "tag", "v1.0.0")
    promise(repository, field="unreleased")
    commit(repository)
    assert main([], folder=repository) == 1
    said = capsys.readouterr().out
    assert "data.released: the field is gone" in said
    assert "unreleased" not in said
    assert "since v1.0.0" in said


def test_an_event_that_was_published_cannot_vanish(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(
        repository / "schemas" / f"{GRANTED}.json", repository / "schemas" / "x.gone.v1.json"
    )
    commit(repository)
    assert main(["--check"], folder=repository) == 1
    assert "x.gone.v1: the event is gone" in capsys.readouterr().out


def test_an_accepted_break_is_made(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promise(repository)
    commit(repository)
    sentence = f"{GRANTED}: data.promised: the field is gone"
    monkeypatch.setattr(compatibility, "ACCEPTED", {sentence: "Nobody ever heard it."})
    assert main([], folder=repository) == 0
    assert "promised" not in (repository / "schemas" / f"{GRANTED}.json").read_text()


def test_without_a_history_the_files_are_what_was_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main([], folder=tmp_path) == 0
    assert main(["--check"], folder=tmp_path) == 0
    assert "not with a release" in capsys.readouterr().out
    promise(tmp_path)
    assert main([], folder=tmp_path) == 1


def test_without_git_it_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([], folder=tmp_path) == 0
    assert "git is not installed" in capsys.readouterr().out


def test_a_base_that_is_not_there_is_an_error(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--check", "--base", "no-such-thing"], folder=repository)
    assert stopped.value.code == 2
    assert "no-such-thing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", ["asyncapi.json", f"schemas/{GRANTED}.json", f"examples/{GRANTED}.json"]
)
def test_a_file_that_was_edited_by_hand_is_noticed(
    repository: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    (repository / path).write_text("{}")
    assert main(["--check"], folder=repository) == 1
    assert f"{path} is not what the code says" in capsys.readouterr().out


def test_a_file_that_nothing_generates_is_noticed_and_removed(repository: Path) -> None:
    (repository / "examples" / "left.json").write_text("{}")
    assert main(["--check"], folder=repository) == 1
    assert main([], folder=repository) == 0
    assert not (repository / "examples" / "left.json").exists()
