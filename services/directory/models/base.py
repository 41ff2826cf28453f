"""What the tables of the directory share."""

from enum import StrEnum
from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from chassis.catalogue import Recipient
from chassis.tables import service_metadata

METADATA = service_metadata()

READERS = (Recipient.PLATFORM, Recipient.MEMBERS, Recipient.ANIMATOR, Recipient.CCI)
"""Who reads what members say about themselves and their companies (N8.1)."""


class Base(SQLModel):
    """Base of the directory's tables."""

    metadata: ClassVar[MetaData] = METADATA


def one_of(column: str, values: type[StrEnum]) -> str:
    """The CHECK of a column that holds a member of an enumeration."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"
