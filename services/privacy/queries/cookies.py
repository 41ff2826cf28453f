"""Choices about audience measurement."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from chassis.errors import NotFoundError
from services.privacy.models import CookieChoice


async def cookie_choice(
    session: AsyncSession, *, choice_id: UUID, lock: bool = False
) -> CookieChoice:
    """A choice that has not ended, for whoever holds its random id; raises `NotFoundError`."""
    found = await session.get(CookieChoice, choice_id, with_for_update=lock or None)
    if found is None or clock.now() >= found.expires_at:
        raise NotFoundError("Ce choix n'existe plus : posez à nouveau la question.")
    return found
