"""What each service would have written had the people of the demo come through its doors.

One module per service: `TABLES` in the order of their foreign keys, and a writer that turns a record
into rows. The services' own names for states and roles are imported, never repeated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from deploy.local.seed.records import Record

Row = tuple[str, Mapping[str, Any]]
"""A table's name and one row's values by column; a table's rows all name the same columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What the demo is told from outside."""

    now: datetime
    seed: int
    password_hash: str
    notice_version: str


class Writer(Protocol):
    """Turns records, in the order in which they are drawn, into rows of one service."""

    @property
    def tables(self) -> tuple[str, ...]:
        """In the order in which they can be filled."""

    def rows(self, record: Record) -> Iterable[Row]:
        """The rows that this record adds."""
