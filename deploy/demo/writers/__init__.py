"""What each service would have written had the people of the demo come through its doors.

One module per service: `tables` in the order of their foreign keys, and a writer that turns a record
into rows. The services' own names for states and roles are imported, never repeated.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, ClassVar
from uuid import UUID

from contracts.directory import AttachmentRole
from deploy.demo.records import Record

Row = tuple[str, Mapping[str, Any]]
"""A table's name and one row's values by column; a table's rows all name the same columns."""

ROLES = {"administrator": AttachmentRole.ADMINISTRATOR, "member": AttachmentRole.COLLEAGUE}
"""The platform's word for what a person of the demo may do for a company."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What the demo is told from outside."""

    now: datetime
    seed: int
    password_hash: str
    notice_version: str
    storage: Mapping[str, str] = field(default_factory=dict)
    """Where a service keeps its files, as URLs; a service that is not named gets none."""


class Writer(ABC):
    """Turns records, in the order in which they are drawn, into rows of one service."""

    tables: ClassVar[tuple[str, ...]]
    """In the order in which they can be filled."""
    repeated: ClassVar[frozenset[str]] = frozenset({"data_subject"})
    """Tables of which a row may come again: the first one counts. The database tells them apart, for
    a writer that remembered everybody would grow with the demo."""

    def __init__(self, occasion: Occasion) -> None:
        self.occasion = occasion
        # Each service draws what only it knows: the same, whichever others are filled with it.
        self.rng = Random(occasion.seed)  # noqa: S311 - a repeatable demo, not a secret

    @abstractmethod
    def rows(self, record: Record) -> Iterable[Row]:
        """The rows that this record adds."""

    async def store_files(self) -> None:  # noqa: B027 - most services have no files
        """Put the files of the rows into the service's storage; a service without files has none."""

    def subject(self, person_id: UUID) -> Iterator[Row]:
        """The permanent row of somebody, whom the service may have heard of before."""
        yield "data_subject", {"id": person_id}
