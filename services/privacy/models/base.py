"""What the tables of privacy share."""

from calendar import monthrange
from datetime import datetime
from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from chassis.tables import service_metadata

METADATA = service_metadata()


class Base(SQLModel):
    """Base of privacy's tables."""

    metadata: ClassVar[MetaData] = METADATA


def one_month_after(instant: datetime) -> datetime:
    """The same-numbered day of the next month, or its last day (GDPR art. 12(3))."""
    year, month = divmod(instant.year * 12 + instant.month, 12)
    month += 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))
