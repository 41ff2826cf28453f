"""A person who is erased leaves nothing here but what belongs to companies, without them."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from chassis.auth import Role
from contracts.directory import AnimatorAppointed, AttachmentRole, PersonAttached
from services.consultations.models import catalogue
from tests.consultations.world import Actor, World, problem, words
from tests.stand import Stand

PLUMBING = {"inbox", "outbox", "applied", "aggregate_sequence", "data_subject"}
"""Tables that hold opaque ids for their declared periods."""


@dataclass
class Traces:
    """Somebody in every table, with one token in everything that they typed."""

    person: Actor
    token: str
    draft: str
    published: str
    answered: str
    """Somebody else's consultation, to which they replied."""


async def somebody_everywhere(world: World, community: UUID, other: Actor) -> Traces:
    token = uuid4().hex
    person = await world.a_member(community, roles=[Role.BUYER])
    await world.stand.say(AnimatorAppointed(community_id=community, person_id=person.id))
    await world.stand.eventually("select true from animator where person_id = $1", person.id)
    contact = {
        "name": f"N {token}",
        "email": f"{token}@e.example",
        "phone": f"+33 {int(token, 16) % 10**12}",
    }
    created = await person.post(json=words(community, contact=contact), key=f"k-{token}")
    assert created.status_code == 201, created.text
    published = await world.published(person, community, contact=contact)
    answered = await world.published(other, community)
    await world.stand.operate(person.id)
    reply = await person.reply(answered, message=f"Notre offre {token}", contact=contact)
    assert reply.status_code == 201, reply.text
    return Traces(person, token, created.json()["id"], published, answered)


async def dump(stand: Stand) -> dict[str, list[str]]:
    """Every row of every table as text, in no particular order."""
    tables = await stand.rows(
        "select table_name::text from information_schema.tables where table_schema = 'public'"
    )
    return {
        name: sorted(
            " ".join(v.decode() if isinstance(v, bytes) else str(v) for v in row.values())
            for row in await stand.rows(f'select * from "{name}"')
        )
        for (name,) in tables
    }


def tables_with(text: str, rows: dict[str, list[str]]) -> set[str]:
    return {name for name, found in rows.items() if any(text in row for row in found)}


async def test_nothing_of_an_erased_person_is_left_and_the_evidence_says_so(world: World) -> None:
    stand, community = world.stand, await world.a_community()
    other = await world.a_buyer()
    traces = await somebody_everywhere(world, community, other)
    bystander = await somebody_everywhere(world, community, other)
    person = traces.person
    phone = str(int(traces.token, 16) % 10**12)
    before = await dump(stand)
    # The positive control: the search finds what is there.
    assert tables_with(traces.token, before) == {"consultation", "reply", "idempotency_key"}
    assert tables_with(phone, before) == {"consultation", "reply"}
    assert tables_with(str(person.id), before) - PLUMBING == set(catalogue.tables())

    evidence = (await stand.erase(person.id))["subjects"][0]
    assert evidence["outcome"] == "erased"
    assert {name: (t["deleted"], t["detached"]) for name, t in evidence["tables"].items()} == {
        "animator": (1, 0),
        "attachment": (1, 0),
        "consultation": (0, 2),
        "idempotency_key": (1, 0),
        "membership": (1, 0),
        "operator_action": (0, 1),
        "reply": (0, 1),
    }
    after = await dump(stand)
    assert tables_with(traces.token, after) == set()
    assert tables_with(phone, after) == set()
    assert tables_with(str(person.id), after) <= PLUMBING
    for name in set(before) - PLUMBING - {"applied"}:
        untouched = [row for row in before[name] if str(person.id) not in row]
        assert set(untouched) <= set(after[name]), f"{name}: somebody else's row changed"
    assert tables_with(bystander.token, after) == {"consultation", "reply", "idempotency_key"}
    assert traces.token not in str(stand.heard)


async def test_the_consultations_of_a_deleted_buyer_keep_their_company(world: World) -> None:
    community, other = await world.a_community(), await world.a_buyer()
    traces = await somebody_everywhere(world, community, other)
    company_id = traces.person.company_id
    colleague = await world.a_buyer(company_id=company_id)
    supplier = await world.a_member(community)
    assert (await supplier.reply(traces.published)).status_code == 201
    await world.stand.erase(traces.person.id)

    shown = (await supplier.get(f"/{traces.published}")).json()
    assert (shown["company_id"], shown["state"]) == (str(company_id), "published")
    assert (shown["author_id"], shown["contact"]) == (None, None)
    assert (await colleague.post(f"/{traces.draft}/publication")).status_code == 200
    await colleague.post(f"/{traces.published}/closure")
    opened = (await colleague.get(f"/{traces.published}/replies")).json()["items"]
    assert [item["company_id"] for item in opened] == [str(supplier.company_id)]

    await other.post(f"/{traces.answered}/closure")
    reply = (await other.get(f"/{traces.answered}/replies")).json()["items"][0]
    assert reply["company_id"] == str(company_id)
    assert (reply["author_id"], reply["message"], reply["contact"]) == (None, None, None)
    assert reply["receipt"]["submitted_at"]
    assert reply["receipt"]["sha256"] is None


async def test_an_administrator_clears_the_empty_reply_of_an_erased_colleague(
    world: World,
) -> None:
    community, other = await world.a_community(), await world.a_buyer()
    traces = await somebody_everywhere(world, community, other)
    boss = await world.a_member(community, company_id=traces.person.company_id)
    await world.stand.erase(traces.person.id)
    empty = (await boss.get(f"/{traces.answered}/replies")).json()["items"][0]["id"]
    assert problem(await boss.reply(traces.answered)) == (409, "already-replied")
    assert (await boss.delete(f"/{traces.answered}/replies/{empty}")).status_code == 204
    assert (await boss.reply(traces.answered)).status_code == 201


async def test_a_colleague_may_finish_the_draft_and_give_their_own_contact(world: World) -> None:
    community, other = await world.a_community(), await world.a_buyer()
    traces = await somebody_everywhere(world, community, other)
    colleague = await world.a_buyer(company_id=traces.person.company_id)
    await world.stand.erase(traces.person.id)
    changed = await colleague.patch(f"/{traces.draft}", json={"title": "Repris par un collègue"})
    assert changed.json()["author_id"] is None
    changed = await colleague.patch(f"/{traces.draft}", json={"contact": {"name": "Bo Durand"}})
    assert changed.json()["author_id"] == str(colleague.id)


async def test_nothing_brings_an_erased_person_back(world: World) -> None:
    community, other = await world.a_community(), await world.a_buyer()
    traces = await somebody_everywhere(world, community, other)
    person = traces.person
    await world.stand.erase(person.id)
    event_id = await world.stand.say(
        PersonAttached(
            company_id=person.company_id, person_id=person.id, role=AttachmentRole.COLLEAGUE
        )
    )
    await world.stand.eventually("select state = 'fenced' from inbox where event_id = $1", event_id)
    assert not await world.stand.rows("select from attachment where person_id = $1", person.id)
    # The token is still valid by its dates and its signature.
    assert problem(await person.get()) == (401, "not-authenticated")
    assert problem(await person.post(json=words(community))) == (401, "not-authenticated")
    again = (await world.stand.erase(person.id))["subjects"][0]
    assert again["outcome"] == "nothing_held"


async def test_a_stranger_to_the_service_is_answered_with_nothing_held(world: World) -> None:
    evidence = (await world.stand.erase(uuid4()))["subjects"][0]
    assert evidence["outcome"] == "nothing_held"
    assert set(evidence["tables"]) == set(catalogue.tables())
