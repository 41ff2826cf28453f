"""The notice, what the register tells, and consents."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from services.privacy.models import Consent, Notice
from services.privacy.schemas.notices import HeldData, Processing


async def notice_in_force(session: AsyncSession) -> Notice | None:
    """The newest notice whose time has come."""
    found: Notice | None = await session.scalar(
        select(Notice)
        .where(col(Notice.in_force_from) <= clock.now())
        .order_by(col(Notice.in_force_from).desc())
        .limit(1)
    )
    return found


async def consents(session: AsyncSession, *, viewer: Principal) -> Sequence[Consent]:
    """What the caller agreed to."""
    found = await session.scalars(
        select(Consent)
        .where(col(Consent.person_id) == viewer.account_id)
        .order_by(col(Consent.given_at))
    )
    return found.all()


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
