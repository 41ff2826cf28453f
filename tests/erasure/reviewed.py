"""What every column is said to hold, in one list that people review (E3).

A declaration can be wrong and agree with its migration: no machine knows that a column called
`remark` holds what somebody typed. So each declaration about people, and each column that might hold
something about them and is said not to, stands in `reviewed.txt` in words. Whoever changes one
changes that file too, with

    python -m tests.erasure.reviewed

and a reviewer reads the difference.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from sqlalchemy import JSON, Column, LargeBinary, String, Table
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.types import TypeDecorator

from chassis.catalogue import KEY, Catalogue, NotPersonal, Subject
from deploy.local.layout import SERVICES

FILE = Path(__file__).with_name("reviewed.txt")
_TELLING = (String, JSON, LargeBinary, ARRAY, TSVECTOR)
"""Types that can hold what somebody wrote, whatever the column is called."""


def lines(catalogue: Catalogue) -> Iterator[str]:
    """One line for each declaration that must be reviewed."""
    tables = catalogue.describe()["tables"]
    for table, column, declared in catalogue.columns():
        if isinstance(declared, NotPersonal) and not _may_be_about_somebody(table, column):
            continue
        kind = "subjects" if isinstance(declared, Subject) else "columns"
        said = json.dumps(tables[table.name][kind][column.name], ensure_ascii=False, sort_keys=True)
        yield f"{catalogue.service}.{table.name}.{column.name} {said}"


def _may_be_about_somebody(table: Table, column: Column[object]) -> bool:
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    return isinstance(kind, _TELLING) or any(
        isinstance(one.info[KEY], Subject) for one in table.columns
    )


def differences(catalogue: Catalogue) -> list[str]:
    """Declarations that nobody has reviewed, and reviewed ones that are gone."""
    mine = f"{catalogue.service}."
    reviewed = {one for one in FILE.read_text("utf-8").splitlines() if one.startswith(mine)}
    declared = set(lines(catalogue))
    return [
        *(f"not reviewed: {one}" for one in sorted(declared - reviewed)),
        *(f"reviewed, and gone: {one}" for one in sorted(reviewed - declared)),
    ]


if __name__ == "__main__":
    catalogues = [import_module(f"services.{one}.wiring").SERVICE.catalogue for one in SERVICES]
    written = sorted(line for one in catalogues for line in lines(one))
    FILE.write_text("\n".join(written) + "\n", "utf-8")
