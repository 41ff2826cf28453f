"""What a route needs from its process: the runtime, and one transaction per request."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import crash

if TYPE_CHECKING:
    from chassis.service import Runtime


def runtime_of(request: Request) -> "Runtime":
    """The runtime of the service that answers this request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


async def request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction, committed before the answer is sent."""
    async with runtime_of(request).db.transaction() as session:
        yield session
    crash.point("http.after_commit_before_answer")


# Without scope="function" the commit would follow the answer: a promise before the fact.
SessionDep = Annotated[AsyncSession, Depends(request_session, scope="function")]
