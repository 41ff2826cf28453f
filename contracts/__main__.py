"""`python -m contracts`: write the JSON Schemas of all events; `--check` only compares.

The committed schemas are what partners rely on. Generating them changes nothing by itself: a diff in
review is how a change of the contract is seen.
"""

import json
import sys
from pathlib import Path
from typing import Any

from contracts.base import Envelope, Event
from contracts.registry import all_events

FOLDER = Path(__file__).parent / "schemas"


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of the whole CloudEvent."""
    envelope = Envelope.model_json_schema()
    data = event.model_json_schema()
    definitions = data.pop("$defs", {})
    envelope["title"] = event.__name__
    envelope["description"] = (event.__doc__ or "").partition("\n")[0]
    envelope["properties"]["type"] = {"const": event.event_type(), "type": "string"}
    envelope["properties"]["data"] = data
    if definitions:
        envelope["$defs"] = definitions
    envelope["x-exchange"] = event.kind.value
    envelope["x-routing-key"] = event.routing_key()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **envelope}


def _texts() -> dict[str, str]:
    return {
        f"{name}.json": json.dumps(schema_of(event), indent=2, ensure_ascii=False) + "\n"
        for name, event in all_events().items()
    }


def main(arguments: list[str]) -> int:
    """Exit code 1 when `--check` finds a difference."""
    wanted = _texts()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if arguments == ["--check"]:
        differing = sorted(
            name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)
        )
        for name in differing:
            print(f"schemas: {name} is not what the code says; run `python -m contracts`")
        if not differing:
            print("schemas: ok")
        return 1 if differing else 0
    FOLDER.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"schemas: {len(wanted)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
