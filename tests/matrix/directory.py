"""A town of two chambers: who belongs to one must not be seen from the other."""

from typing import Any
from uuid import UUID

from chassis.auth import Role
from tests.directory.test_people import a_picture
from tests.directory.town import Community, Person, Town, a_profile, a_sheet
from tests.mailbox import Mailbox
from tests.matrix.table import Row
from tests.matrix.world import PEOPLE, Call, Headers, World
from tests.stand import Stand

API = "/api/directory"


class DirectoryWorld(World):
    """`community` and `closed` are of one chamber, `elsewhere` is of another one."""

    community: Community
    closed: Community
    elsewhere: Community
    company: str

    def __init__(self, stand: Stand, mailbox: Mailbox) -> None:
        super().__init__(stand, mailbox)
        self.town = Town(stand)
        self.callers: dict[str, Person] = {}

    async def build(self) -> None:
        town = self.town
        self.community = await town.a_community(open_joining=True)
        self.closed = await town.a_community(cci=self.community.cci)
        self.elsewhere = await town.a_community(open_joining=True)
        owner, self.company = await town.a_member(self.community, sole_trader=True)
        self.callers = {
            "owner": owner,
            "neighbour": (await town.a_member(self.community))[0],
            "stranger": (await town.a_member(self.elsewhere))[0],
            "animator": await town.an_animator(self.community),
            "other animator": await town.an_animator(self.elsewhere),
            "agent": await town.an_agent(self.community.cci),
            "other agent": await town.an_agent(self.elsewhere.cci),
            "buyer": town.somebody(Role.BUYER),
            "dpo": town.somebody(Role.DPO),
            "operator": town.operator(),
        }
        await town.operator().post(
            f"/communities/{self.closed.id}/animators",
            {"person_id": str(self.callers["animator"].id)},
        )
        self.people = {name: self.callers[name].id for name in PEOPLE}
        for person in self.callers.values():
            await self.with_photo(person)

    def person(self, caller: str) -> Headers:
        return self.callers[caller].headers

    async def with_photo(self, person: Person) -> None:
        assert (await person.put("/me/profile", a_profile())).status_code == 200
        stored = await person.call("PUT", "/me/photo", content=a_picture(size=(64, 64)))
        assert stored.status_code == 204, stored.text

    def hidden(self, caller: str) -> set[str]:
        inside = [str(self.people[name]) for name in ("owner", "neighbour", "animator", "agent")]
        if caller == "operator":
            inside.remove(str(self.people["animator"]))  # operators appoint them
        if caller in {"stranger", "other animator"}:  # the directory of companies is shared
            return set(inside)
        if caller in {"visitor", "other agent", "buyer", "dpo", "operator"}:
            return {*inside, self.company}
        return set()

    async def file(self) -> tuple[UUID, str] | None:
        owner = self.people["owner"]
        [row] = await self.stand.rows(
            "SELECT storage_key FROM photo WHERE person_id = $1 AND state = 'stored'", owner
        )
        return owner, row[0]


World_ = DirectoryWorld


async def _profile(*_: Any) -> Call:
    return Call(send={"json": a_profile()})


async def _photo_of_mine(world: World_, row: Row, caller: str) -> Call:
    if world.fresh:
        await world.with_photo(world.callers[caller])
    return Call(send={"content": a_picture(size=(64, 64))} if row.method == "PUT" else {})


async def _person(world: World_, row: Row, _: str) -> Call:
    if row.path.endswith("/photo"):
        await world.with_photo(world.callers["owner"])
    return Call(path={"person_id": world.people["owner"]})


async def _new_company(*_: Any) -> Call:
    return Call(send={"json": a_sheet()})


async def _company(world: World_, row: Row, _: str) -> Call:
    call = Call(path={"company_id": world.company})
    if row.method == "PATCH":
        sheet = await world.callers["owner"].get(f"/companies/{world.company}")
        call.headers = {"If-Match": sheet.headers["ETag"]}
        call.send, call.thing = {"json": {"activity": "Chaudronnerie"}}, True
    return call


async def _listed(world: World_, *_: Any) -> Call:
    sheet = await world.callers["owner"].get(f"/companies/{world.company}")
    return Call(path={"siret": sheet.json()["siret"]})


async def _asking(world: World_, *_: Any) -> Call:
    # A company of its own: who asks for the owner's would be seen by the owner.
    company = await world.thing("asked", lambda: world.town.a_company(world.town.somebody()))
    [row] = await world.stand.rows("SELECT siret FROM company WHERE id = $1", UUID(company))
    return Call(path={"siret": row[0]})


async def _asker(world: World_, row: Row, _: str) -> Call:
    owner = world.callers["owner"]

    async def make() -> Person:
        person = world.town.somebody()
        await world.town.ask(person, owner, world.company)
        return person

    asker = await world.thing("asker", make)
    send = {"json": {"role": "colleague"}} if row.method == "POST" else {}
    return Call(
        path={"company_id": world.company, "person_id": asker.id}, send=send, thing=bool(send)
    )


async def _own_attachment(world: World_, *_: Any) -> Call:
    owner = world.callers["owner"]
    company = await world.thing("company", lambda: world.town.a_company(owner))
    return Call(path={"company_id": company})


async def _community(world: World_, *_: Any) -> Call:
    return Call(path={"community": world.community.slug})


async def _new_community(*_: Any) -> Call:
    slug = f"c-{a_sheet()['siret']}"
    return Call(send={"json": {"slug": slug, "name": slug, "cci": "cci-neuve"}})


async def _appointment(world: World_, row: Row, _: str) -> Call:
    async def make() -> Person:
        return await world.town.an_animator(world.community)

    person = await world.thing("appointed", make)
    path = {"community": world.community.slug, "person_id": person.id}
    body = {"json": {"person_id": str(person.id)}}
    return Call(path=path, send=body if row.method == "POST" else {}, thing=True)


async def _agent(world: World_, row: Row, _: str) -> Call:
    person = await world.thing("agent", lambda: world.town.an_agent(world.community.cci))
    body = {"person_id": str(person.id), "cci": world.community.cci}
    return Call(
        path={"cci": world.community.cci, "person_id": person.id},
        send={"json": body} if row.method == "POST" else {},
    )


async def _joining(world: World_, *_: Any) -> Call:
    return Call(
        path={"community": world.community.slug},
        send={"json": {"company_id": world.company}},
        thing=True,
    )


async def _own_membership(world: World_, *_: Any) -> Call:
    async def make() -> str:
        community = await world.town.a_community(open_joining=True)
        return await world.town.join(world.callers["owner"], world.company, community)

    return Call(path={"membership_id": await world.thing("membership", make)})


async def _queue(world: World_, *_: Any) -> Call:
    return Call(path={"community": world.community.slug}, send={"params": {"state": "active"}})


async def _request(world: World_, row: Row, _: str) -> Call:
    async def make() -> str:
        person = world.town.somebody()
        company = await world.town.a_company(person)
        return await world.town.join(person, company, world.closed)

    path = {"membership_id": await world.thing("request", make)}
    send = {"json": {"grant": True}} if row.method == "POST" else {}
    return Call(path=path, send=send, thing=True)


async def _search(*_: Any) -> Call:
    return Call(send={"params": {"q": "rouen"}})


async def _whole_list(*_: Any) -> Call:
    return Call(send={"params": {"limit": 100}})


async def _codes(*_: Any) -> Call:
    return Call(send={"params": {"q": "usinage"}})


_ATTACHMENTS = f"{API}/companies/{{company_id}}/attachments"
_COMMUNITY = f"{API}/communities/{{community}}"

DirectoryWorld.recipes = {
    f"PUT {API}/me/profile": _profile,
    f"GET {API}/me/profile": _photo_of_mine,
    f"DELETE {API}/me/profile": _photo_of_mine,
    f"PUT {API}/me/photo": _photo_of_mine,
    f"GET {API}/me/photo": _photo_of_mine,
    f"DELETE {API}/me/photo": _photo_of_mine,
    f"GET {API}/people/{{person_id}}": _person,
    f"GET {API}/people/{{person_id}}/photo": _person,
    f"POST {API}/companies": _new_company,
    f"GET {API}/companies": _whole_list,
    f"GET {API}/companies/{{company_id}}": _company,
    f"PATCH {API}/companies/{{company_id}}": _company,
    f"GET {API}/companies/by-siret/{{siret}}": _listed,
    f"POST {API}/companies/by-siret/{{siret}}/attachments": _asking,
    f"GET {_ATTACHMENTS}": _company,
    f"POST {_ATTACHMENTS}/{{person_id}}/acceptance": _asker,
    f"DELETE {_ATTACHMENTS}/me": _own_attachment,
    f"DELETE {_ATTACHMENTS}/{{person_id}}": _asker,
    f"GET {_COMMUNITY}": _community,
    f"POST {API}/communities": _new_community,
    f"GET {_COMMUNITY}/animators": _community,
    f"POST {_COMMUNITY}/animators": _appointment,
    f"DELETE {_COMMUNITY}/animators/{{person_id}}": _appointment,
    f"POST {API}/agents": _agent,
    f"DELETE {API}/agents/{{cci}}/{{person_id}}": _agent,
    f"POST {_COMMUNITY}/memberships": _joining,
    f"DELETE {API}/me/memberships/{{membership_id}}": _own_membership,
    f"GET {_COMMUNITY}/memberships": _queue,
    f"GET {API}/memberships/{{membership_id}}": _request,
    f"POST {API}/memberships/{{membership_id}}/decision": _request,
    f"GET {API}/reference/communes": _search,
    f"GET {API}/reference/naf": _codes,
}
