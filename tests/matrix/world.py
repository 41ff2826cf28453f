"""What every world has: callers, things that are made for a cell, and how a route is called."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import httpx2

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from tests.mailbox import Mailbox
from tests.matrix.table import CALLERS, Row
from tests.stand import Stand

T = TypeVar("T")
Headers = dict[str, str]

SCOPES = {"identity:addresses", "identity:browser-sessions", "identity:lookup", "subjects:read"}
ROLES = {
    "agent": [Role.AGENT],
    "other agent": [Role.AGENT],
    "buyer": [Role.BUYER],
    "dpo": [Role.DPO],
    "operator": [Role.OPERATOR],
}
PEOPLE = tuple(name for name in CALLERS if name != "visitor" and "client" not in name)


@dataclass
class Call:
    """What is sent. `thing` says that access depends on it: then only a valid body can tell."""

    path: dict[str, Any] = field(default_factory=dict)
    headers: Headers = field(default_factory=dict)
    thing: bool = False
    nothing: bool = False
    """There is no such thing here, so that whoever is let in gets 404: others may not even ask."""
    suffix: str = ""
    """What follows the path of a route that answers for a whole folder."""
    send: dict[str, Any] = field(default_factory=dict)
    """`json`, `content`, `data` or `params`, as the client takes them."""


Recipe = Callable[[Any, Row, str], Awaitable[Call]]


class World:
    """One running service and everybody who may call it."""

    recipes: ClassVar[dict[str, Recipe]] = {}

    def __init__(self, stand: Stand, mailbox: Mailbox) -> None:
        self.stand = stand
        self.mailbox = mailbox
        self.people = {name: new_id() for name in PEOPLE}
        self.fresh = False
        """Whether the next thing must be one that nobody has changed."""
        self._things: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}

    async def build(self) -> None:
        """Make the callers and what all cells share."""

    async def thing(self, name: str, make: Callable[[], Awaitable[T]], *, kept: bool = False) -> T:
        """One that is `kept`, or, for a call that changes it, one that nobody has changed."""
        things = self._kept if kept else self._things
        if name not in things or (self.fresh and not kept):
            things[name] = await make()
        found: T = things[name]
        return found

    def forget(self) -> None:
        """What one row has changed is no thing for the next one."""
        self._things.clear()

    def headers(self, caller: str, row: Row) -> Headers:
        """The token of a caller. A client without the scope has every other one."""
        if caller == "visitor":
            return {}
        if "client" in caller:
            needed = set(row.about.split("`")[1::2]) & SCOPES
            scopes = needed or SCOPES if caller == "scoped client" else SCOPES - needed
            return self.stand.token(scopes=scopes)
        return self.person(caller)

    def person(self, caller: str) -> Headers:
        return self.stand.token(self.people[caller], roles=ROLES.get(caller, ()))

    async def call(self, row: Row, caller: str, *, fresh: bool = False) -> Call:
        """How this caller uses the route of this row."""
        self.fresh = fresh
        recipe = self.recipes.get(row.route) or COMMON.get(row.route)
        return await recipe(self, row, caller) if recipe else Call()

    async def send(self, row: Row, call: Call, headers: Headers, **instead: Any) -> httpx2.Response:
        """Send it, or the same with another body."""
        path = row.path.replace("{service}", self.stand.runtime.service.name)
        for name, value in call.path.items():
            path = path.replace(f"{{{name}}}", str(value)).replace(f"{{{name}:path}}", str(value))
        assert "{" not in path, f"no recipe fills {path}"
        return await self.stand.client.request(
            row.method,
            path + call.suffix,
            headers={**headers, **call.headers},
            **(instead or call.send),
        )

    def hidden(self, caller: str) -> set[str]:
        """Ids that no answer may show to this caller, whatever they ask."""
        return set()

    async def erased(self) -> Headers:
        """The token, still valid, of somebody who was erased."""
        person = new_id()
        await self.stand.erase(person)
        return self.stand.token(person, roles=list(Role))

    async def file(self) -> tuple[UUID, str] | None:
        """Somebody and the key of a file of theirs, where the service keeps files."""
        return None


COMMON: dict[str, Recipe] = {}


async def _letter(world: World, _: Row, __: str) -> Call:
    async def make() -> UUID:
        made = new_id()
        await world.stand.rows(
            "INSERT INTO inbox (event_id, aggregate, received_at, state, attempts, body, sender,"
            " reason) VALUES ($1, 'x', $2, 'dead', 5, $3, 'x', 'x')",
            made,
            clock.now(),
            b"{}",
        )
        return made

    return Call(path={"event_id": await world.thing("letter", make, kept=True)})


async def _selection(*_: Any) -> Call:
    return Call(send={"json": {"ids": [str(new_id())]}})


async def _subject(world: World, *_: Any) -> Call:
    return Call(path={"person_id": world.people["owner"]})


async def _file(world: World, *_: Any) -> Call:
    person, key = await world.thing("file", world.file, kept=True) or (new_id(), "x")
    return Call(path={"person_id": person, "key": key}, nothing=key == "x")


async def _asset(*_: Any) -> Call:
    return Call(suffix="/swagger-ui.css")


COMMON |= {
    "GET /api/{service}/docs-assets": _asset,
    "GET /api/{service}/dead-letters/{event_id}": _letter,
    "POST /api/{service}/dead-letters/replay": _selection,
    "POST /api/{service}/dead-letters/drop": _selection,
    "GET /internal/subjects/{person_id}": _subject,
    "GET /internal/subjects/{person_id}/files/{key:path}": _file,
}
