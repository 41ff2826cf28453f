"""What several doors of the directory ask of a request."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import CurrentUser
from chassis.session import SessionDep
from services.directory.queries.viewers import Viewer, viewer_of


async def current_viewer(session: SessionDep, user: CurrentUser) -> Viewer:
    """The caller with what they belong to."""
    return await viewer_of(session, user=user)


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]
