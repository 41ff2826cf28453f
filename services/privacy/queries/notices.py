"""The notice in its versions, and what the register tells."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.evidence import digest
from services.privacy.models import Notice
from services.privacy.schemas.notices import HeldData, NoticeChange, Processing


async def notice_in_force(session: AsyncSession) -> Notice | None:
    """The newest notice whose time has come."""
    found: Notice | None = await session.scalar(
        select(Notice)
        .where(col(Notice.in_force_from) <= clock.now())
        .order_by(col(Notice.in_force_from).desc())
        .limit(1)
    )
    return found


async def notices(session: AsyncSession) -> Sequence[Notice]:
    """Every version that was published, the newest first (N8.2)."""
    found = await session.scalars(
        select(Notice).order_by(col(Notice.in_force_from).desc(), col(Notice.version).desc())
    )
    return found.all()


async def notice_before(session: AsyncSession, *, notice: Notice) -> Notice | None:
    """The version that this one replaced."""
    found: Notice | None = await session.scalar(
        select(Notice)
        .where(col(Notice.in_force_from) < notice.in_force_from)
        .order_by(col(Notice.in_force_from).desc())
        .limit(1)
    )
    return found


def text_hash(notice: Notice) -> str:
    """What proves which text was shown: a hash over the version and its content."""
    return digest({"version": notice.version, "content": notice.content})


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[NoticeChange]:
    """The sections of a notice that differ, in alphabetical order."""
    return [
        NoticeChange(section=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def processing(manifests: Sequence[dict[str, Any]]) -> list[Processing]:
    """What the services declare to hold, one entry per table and way of naming a person."""
    lines: list[Processing] = []
    for manifest in manifests:
        for table, declared in sorted(manifest["tables"].items()):
            for column, subject in declared["subjects"].items():
                hold = subject.get("hold")
                lines.append(
                    Processing(
                        service=manifest["service"],
                        table=table,
                        purpose=subject["purpose"],
                        basis=subject["basis"],
                        recipients=subject["recipients"],
                        retention=subject["retention"],
                        fate=subject["fate"],
                        kept_under=hold["source"] if hold else None,
                        data=[
                            HeldData(
                                label=data["label"],
                                category=data["category"],
                                mandatory=data["mandatory"],
                            )
                            for data in declared["columns"].values()
                            if data["kind"] == "personal" and data["of"] == column
                        ],
                    )
                )
    return lines
