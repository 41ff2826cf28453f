"""Fill a platform that runs: with its own notice, and passwords hashed as identity hashes them."""

from collections.abc import Mapping

import asyncpg
from obstore.exceptions import BaseError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from chassis.db import engine
from deploy.demo.generate import COMPANIES
from deploy.demo.load import CONNECTING, Progress, SeedRefusedError, load
from services.identity.credentials import hash_password
from services.privacy.queries.notices import notice_in_force


class SeedStoppedError(Exception):
    """A database or the storage did not answer, or refused; the next run completes what is missing."""


async def fill(
    *,
    urls: Mapping[str, str],
    password: str,
    storage: Mapping[str, str],
    companies: int = COMPANIES,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write the demo; returns rows written by service, none where it was there already.

    `urls` (service → PostgreSQL URL) are those of the owners, who may make temporary tables, of all
    services. `password` is that of every account. `storage` (service → URL) says where files go.
    Raises `SeedRefusedError` before anything is written, and `SeedStoppedError`.
    """
    try:
        return await load(
            urls=urls,
            now=clock.now(),
            password_hash=await hash_password(password),
            notice_version=await _notice_version(urls["privacy"]),
            storage=storage,
            companies=companies,
            progress=progress,
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, BaseError, OSError) as error:
        raise SeedStoppedError(str(error) or type(error).__name__) from error


async def _notice_version(url: str) -> str:
    """The version that the people of the demo accepted: the one in force."""
    opened = engine(url, CONNECTING)
    try:
        async with AsyncSession(opened) as session:
            notice = await notice_in_force(session)
    finally:
        await opened.dispose()
    if notice is None:
        raise SeedRefusedError("privacy has published no notice yet, which it does when it starts")
    return notice.version
