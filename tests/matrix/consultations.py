"""Two communities and two buyers: what is published in one is for its members."""

from typing import Any
from uuid import UUID

from chassis.auth import Role
from tests.consultations import world as told
from tests.consultations.world import Actor, words
from tests.mailbox import Mailbox
from tests.matrix.table import Row
from tests.matrix.world import Call, Headers, World
from tests.stand import Stand

API = told.URL


class ConsultationsWorld(World):
    """The owner is a buyer of a company in `community`; so is the buyer, of another company."""

    community: UUID
    elsewhere: UUID

    def __init__(self, stand: Stand, mailbox: Mailbox) -> None:
        super().__init__(stand, mailbox)
        self.town = told.World(stand)
        self.callers: dict[str, Actor] = {}

    async def build(self) -> None:
        town = self.town
        self.community = await town.a_community()
        self.elsewhere = await town.a_community()
        self.callers = {
            "owner": await town.a_member(self.community, roles=[Role.BUYER]),
            "neighbour": await town.a_member(self.community),
            "stranger": await town.a_member(self.elsewhere),
            "animator": await town.an_animator(self.community),
            "other animator": await town.an_animator(self.elsewhere),
            "agent": town.a_stranger(roles=[Role.AGENT]),
            "other agent": town.a_stranger(roles=[Role.AGENT]),
            "buyer": await town.a_buyer(),
            "dpo": town.a_stranger(roles=[Role.DPO]),
            "operator": town.a_stranger(roles=[Role.OPERATOR]),
        }
        self.people = {name: actor.id for name, actor in self.callers.items()}
        self.draft = await town.a_draft(self.callers["owner"], self.community)
        self.inside = await town.published(self.callers["owner"], self.community)
        self.public = await town.published(self.callers["owner"], self.community, public=True)
        self.theirs = await town.published(self.callers["buyer"], self.community)
        self.reply = await self.replied()

    def person(self, caller: str) -> Headers:
        return self.callers[caller].headers

    async def a_draft(self) -> str:
        return await self.town.a_draft(self.callers["owner"], self.community)

    async def published(self) -> str:
        return await self.town.published(self.callers["owner"], self.community)

    async def replied(self) -> str:
        answer = await self.callers["owner"].reply(self.theirs)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def hidden(self, caller: str) -> set[str]:
        seen = {"owner", "neighbour", "animator"}
        inside = {self.inside} if caller not in seen else set()
        draft = {self.draft} if caller != "owner" else set()
        reply = {self.reply} if caller != "owner" else set()
        return inside | draft | reply


World_ = ConsultationsWorld


async def _whole_list(*_: Any) -> Call:
    return Call(send={"params": {"limit": 100}})


async def _new(world: World_, row: Row, caller: str) -> Call:
    return Call(send={"json": words(world.community)})


async def _read(world: World_, row: Row, _: str) -> Call:
    about = {
        "a draft": world.draft,
        "one in a community": world.inside,
        "a public one": world.public,
    }
    return Call(path={"id": about[row.about]})


async def _change(world: World_, row: Row, caller: str) -> Call:
    about = {"a draft": world.draft, "one in a community": world.inside}
    send = {"json": {"title": "Révision de treize vannes"}} if row.method == "PATCH" else {}
    call = Call(path={"id": about[row.about]}, send=send, thing=caller == "buyer")
    if world.fresh:
        make = world.a_draft if row.about == "a draft" else world.published
        call.path["id"] = await world.thing(row.about, make)
    return call


async def _replies(world: World_, *_: Any) -> Call:
    return Call(path={"id": world.inside})


async def _reply(world: World_, row: Row, caller: str) -> Call:
    actor = world.callers.get(caller, world.callers["owner"])
    body = {"company_id": str(actor.company_id), "message": "Nous savons faire."}
    return Call(path={"id": world.inside}, send={"json": body}, thing=True)


async def _withdrawal(world: World_, *_: Any) -> Call:
    return Call(path={"id": world.theirs, "reply_id": world.reply})


ConsultationsWorld.recipes = {
    f"GET {API}": _whole_list,
    f"POST {API}": _new,
    f"GET {API}/{{id}}": _read,
    f"PATCH {API}/{{id}}": _change,
    f"DELETE {API}/{{id}}": _change,
    f"POST {API}/{{id}}/publication": _change,
    f"POST {API}/{{id}}/closure": _change,
    f"POST {API}/{{id}}/cancellation": _change,
    f"GET {API}/{{id}}/replies": _replies,
    f"POST {API}/{{id}}/replies": _reply,
    f"DELETE {API}/{{id}}/replies/{{reply_id}}": _withdrawal,
}
