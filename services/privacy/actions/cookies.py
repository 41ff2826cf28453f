"""Choices about audience measurement, kept without knowing whose they are (N5.1)."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, subjects
from chassis.errors import NotFoundError
from chassis.tables import data_subject
from services.privacy.models import CookieChoice
from services.privacy.queries.cookies import cookie_choice
from services.privacy.queries.notices import notice_in_force


async def choose(session: AsyncSession, *, audience: bool) -> CookieChoice:
    """Keep a choice under a random id: no address, no account, no time in the id either."""
    notice = await notice_in_force(session)
    if notice is None:
        raise NotFoundError("Aucune notice n'est en vigueur : il n'y a rien à accepter.")
    choice_id = uuid4()
    await subjects.ensure(session, choice_id)
    choice = CookieChoice.made(
        choice_id=choice_id, audience=audience, notice_version=notice.version, now=clock.now()
    )
    session.add(choice)
    return choice


async def withdraw(session: AsyncSession, *, choice_id: UUID) -> CookieChoice:
    """Stop to agree; whoever holds the random id may. Raises `NotFoundError`."""
    choice = await cookie_choice(session, choice_id=choice_id, lock=True)
    choice.withdraw(now=clock.now())
    return choice


async def prune(session: AsyncSession) -> None:
    """Forget choices that have ended, and that there was anybody."""
    gone = await session.scalars(
        delete(CookieChoice)
        .where(col(CookieChoice.expires_at) <= clock.now())
        .returning(col(CookieChoice.choice_id))
        .execution_options(synchronize_session=False)
    )
    ids = gone.all()
    if ids:
        await session.execute(
            delete(data_subject).where(
                data_subject.c.id.in_(ids), data_subject.c.erased_at.is_(None)
            )
        )


def proof(choice: CookieChoice, *, issuer: str) -> dict[str, Any]:
    """What is signed: enough to show what was chosen, when, and before which text."""
    return {
        "type": "fr.ccibusiness.cookie-choice.v1",
        "issuer": issuer,
        "choice_id": str(choice.choice_id),
        "audience": choice.audience,
        "notice_version": choice.notice_version,
        "chosen_at": choice.chosen_at.isoformat(),
        "expires_at": choice.expires_at.isoformat(),
    }
