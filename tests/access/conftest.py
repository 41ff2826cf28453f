"""Privacy, identity and directory as they run, over sockets, and a neighbour who may misbehave."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from chassis import access, clock
from chassis.access import Held
from deploy.local.layout import SERVICES
from services.consultations.models import catalogue as held_by_consultations
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox, token_in
from tests.stand import Stand, served, standing

Send = Callable[[dict[str, Any]], Awaitable[None]]
Data = dict[str, Any]


@dataclass(kw_only=True)
class Neighbour:
    """Answers in the place of consultations: honestly that it holds nothing, unless told otherwise."""

    status: int = 200
    body: bytes | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    def held(self, **rows: list[Data]) -> Data:
        """An honest answer with these rows, by table."""
        sections = list(access.sections(held_by_consultations))
        for section in sections:
            blank = dict.fromkeys(column.name for column in section.columns)
            section.rows = [{**blank, **row} for row in rows.get(section.table, [])]
            section.total = len(section.rows)
        return Held(service="consultations", sections=sections, next=None).model_dump(mode="json")

    async def __call__(self, scope: Data, receive: Any, send: Send) -> None:
        self.asked.append(scope["path"])
        if self.hangs:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        body = json.dumps(self.held()).encode() if self.body is None else self.body
        start = {"type": "http.response.start", "status": self.status}
        await send({**start, "headers": [(b"location", b"http://127.0.0.1:9/")]})
        await send({"type": "http.response.body", "body": body})

    @contextmanager
    def doing(self, **what: Any) -> Iterator[None]:
        """Misbehave inside the block."""
        try:
            for name, value in what.items():
                setattr(self, name, value)
            yield
        finally:
            self.status, self.body, self.hangs = 200, None, False


@dataclass(kw_only=True)
class Street:
    """The services, and people who live there."""

    privacy: Stand
    identity: Stand
    directory: Stand
    neighbour: Neighbour
    post: Mailbox
    urls: dict[str, str]
    _line: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def open_directory(self) -> None:
        port = urlsplit(self.urls["directory"]).port or 0 if "directory" in self.urls else 0
        self.urls["directory"] = await self._line.enter_async_context(
            served(self.directory.app, port=port)
        )

    @asynccontextmanager
    async def directory_is_down(self) -> AsyncIterator[None]:
        await self._line.aclose()
        try:
            yield
        finally:
            await self.open_directory()

    async def join(self, **profile: Any) -> tuple[UUID, str]:
        """Somebody with a confirmed account and a profile; their id and address."""
        email = f"{uuid4().hex}@entreprise.example"
        body = {"email": email, "password": "Sept-Péniches-Bleues-42", "notice_version": "2026-11"}
        await self.identity.client.post("/api/identity/accounts", json=body)
        token = token_in(await self.post.wait_for(email))
        await self.identity.client.post("/api/identity/accounts/verify", json={"token": token})
        [row] = await self.identity.rows("SELECT id FROM account WHERE email = $1", email)
        self.post.mails.clear()
        await self.tells(row["id"], **profile)
        return row["id"], email

    async def tells(self, person: UUID, **profile: Any) -> None:
        """Write a profile in the directory."""
        answer = await self.directory.client.put(
            "/api/directory/me/profile",
            json={"last_name": "Lefèvre", "first_name": "Anaïs", **profile},
            headers=self.directory.token(person),
        )
        assert answer.status_code == 200, answer.text

    async def call(
        self, person: UUID, method: str, path: str, *, expect: int = 200, **headers: str
    ) -> Any:
        """A request to privacy; the headers are written with underscores."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.privacy.client.request(
            method, f"/api/privacy/{path}", headers=self.privacy.token(person) | more
        )
        assert answer.status_code == expect, answer.text
        kind = answer.headers["content-type"]
        return answer.json() if "json" in kind else answer.content

    async def requests(self, person: UUID) -> tuple[str, str]:
        """Ask for an export; its id and key."""
        given = await self.call(person, "POST", "me/exports", expect=202)
        return given["id"], given["key"]

    async def ready(self, person: UUID, export_id: str, *, seconds: float = 30) -> Data:
        """The export once it is ready."""
        await self.privacy.eventually(
            "SELECT state = 'ready' FROM export WHERE id = $1", UUID(export_id), seconds=seconds
        )
        found = await self.call(person, "GET", "me/exports")
        return next(one for one in found if one["id"] == export_id)

    def ring(self, *jobs: str) -> None:
        """Let jobs look now."""
        for job in jobs:
            self.privacy.runtime.db.bells[job].set()

    async def try_again(self, export_id: str) -> None:
        """Let a postponed export be tried now."""
        sql = "UPDATE export SET due_at = requested_at WHERE id = $1 AND state = 'waiting'"
        await self.privacy.rows(sql, UUID(export_id))
        self.ring("export")


@contextmanager
def later(by: timedelta) -> Iterator[None]:
    """The same street, some time later."""
    clock.shift(by)
    try:
        yield
    finally:
        clock.shift(timedelta(0))


@pytest.fixture(scope="package")
async def street(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        post = stack.enter_context(Mailbox())
        told = {
            "servers": servers,
            "folder": tmp_path_factory.mktemp("access"),
            "smtp_url": post.url,
        }
        identity = await stack.enter_async_context(standing(IDENTITY, **told))
        told["layout"] = identity.layout
        directory = await stack.enter_async_context(standing(DIRECTORY, worker=False, **told))
        neighbour = Neighbour()
        urls = {
            "identity": await stack.enter_async_context(served(identity.app)),
            "consultations": await stack.enter_async_context(served(neighbour)),  # type: ignore[arg-type]
        }
        lines = await stack.enter_async_context(AsyncExitStack())
        found = Street(
            privacy=None,  # type: ignore[arg-type]  # set below, once its neighbours have addresses
            identity=identity,
            directory=directory,
            neighbour=neighbour,
            post=post,
            urls=urls,
            _line=lines,
        )
        await found.open_directory()
        found.privacy = await stack.enter_async_context(
            standing(
                PRIVACY,
                extra=[name for name in SERVICES if name != "privacy"],
                identity_url=urls["identity"],
                service_urls=urls,
                **told,
            )
        )
        # Four services are enough here; the journeys ask all of them.
        await found.privacy.rows(
            "UPDATE participant SET active = false WHERE name = 'notifications'"
        )
        yield found


@pytest.fixture
def person() -> UUID:
    return uuid4()
