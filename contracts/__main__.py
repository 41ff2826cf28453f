"""`python -m contracts`: write what the event classes say; `--check` only compares.

It writes three things that others read: a JSON Schema for each message (`schemas/`), an example of
each message that partners hear or send (`examples/`), and the AsyncAPI document of the whole
(`asyncapi.json`). What was promised is compared with what the code says now: the schemas of the newest
release or of the main branch, as git has them. A change that would break somebody is refused.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from contracts.asyncapi import document
from contracts.base import Event
from contracts.compatibility import REMEDY, all_breaks
from contracts.history import NoHistoryError, Promise, promised
from contracts.privacy import PartnerAcknowledged
from contracts.registry import HEARD_FROM_PARTNERS, PARTNERS_HEAR, all_events, schema_of
from contracts.samples import sample

FOLDER = Path(__file__).parent


@cache
def _wanted() -> Mapping[str, str]:
    """The text of every generated file, by its path in this folder."""
    schemas = {f"schemas/{name}.json": schema_of(event) for name, event in all_events().items()}
    for_partners: list[type[Event]] = [*PARTNERS_HEAR, PartnerAcknowledged]
    examples = {f"examples/{event.event_type()}.json": sample(event) for event in for_partners}
    files = {**schemas, **examples, "asyncapi.json": document()}
    return {path: _text(content) for path, content in files.items()}


def _text(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _there(folder: Path) -> dict[str, str]:
    paths = [*folder.glob("schemas/*.json"), *folder.glob("examples/*.json")]
    paths += folder.glob("asyncapi.json")
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths}


def _promise(folder: Path, base: str | None) -> Promise:
    """What others rely on; without a history, what the files say."""
    try:
        return promised(folder, base=base)
    except NoHistoryError as reason:
        if base:
            raise
        print(f"contracts: compared with the files only, not with a release ({reason})")
        files = folder.glob("schemas/*.json")
        return Promise("the files", {path.stem: json.loads(path.read_text()) for path in files})


def main(arguments: list[str] | None = None, *, folder: Path = FOLDER) -> int:
    """Exit code: 0 all is well, 1 a difference (`--check`) or a breaking change, 2 a bad option."""
    parser = argparse.ArgumentParser(
        prog="python -m contracts",
        description="Write the schemas, examples and AsyncAPI document of all events.",
        epilog="Exit code 0: all is well; 1: a difference (--check) or a breaking change; 2: usage.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    parser.add_argument(
        "--base",
        metavar="REVISION",
        help="what was promised: a git revision (default: the newest release, else main)",
    )
    options = parser.parse_args(arguments)
    try:
        promise = _promise(folder, options.base)
    except NoHistoryError as reason:
        parser.error(f"nothing to compare with in {options.base}: {reason}")
    wanted, there = _wanted(), _there(folder)
    schemas = {
        Path(path).stem: json.loads(text)
        for path, text in wanted.items()
        if path.startswith("schemas/")
    }
    found = all_breaks(promise.schemas, schemas, heard_prefix=HEARD_FROM_PARTNERS)
    for sentence in found:
        print(f"contracts: {sentence}")
    if found:
        print(f"contracts: {len(found)} breaking changes since {promise.where}. {REMEDY}")
        return 1
    differing = sorted(
        path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path)
    )
    if options.check:
        for path in differing:
            print(f"contracts: {path} is not what the code says; run `python -m contracts`")
        if not differing:
            print(f"contracts: ok, {len(schemas)} messages, nothing broken since {promise.where}")
        return 1 if differing else 0
    for path in differing:
        target = folder / path
        if path in wanted:
            target.parent.mkdir(exist_ok=True)
            target.write_text(wanted[path], encoding="utf-8")
        else:
            target.unlink()
    print(f"contracts: {len(differing)} files written, {len(wanted)} in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
