"""The clock closes consultations whose time is over."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from chassis import clock
from contracts.consultations import ConsultationClosed
from tests.consultations.world import URL, Actor, World


@pytest.fixture
async def tomorrow(world: World) -> AsyncIterator[None]:
    """Everything in the test's second half happens a day later."""
    yield
    clock.shift(timedelta(0))


def ring(world: World) -> None:
    world.stand.runtime.db.bells["job close_due"].set()


def renew(*actors: Actor) -> None:
    """Tokens live five minutes; the clock was moved by more."""
    for actor in actors:
        actor.headers = actor.stand.token(actor.id)


async def test_what_is_over_is_closed_at_its_announced_instant(
    world: World, tomorrow: None
) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    member = await world.a_member(community)
    closes_at = clock.now() + timedelta(hours=20)
    due = [
        await world.published(buyer, community, closes_at=closes_at.isoformat()) for _ in range(3)
    ]
    later = await world.published(buyer, community)
    draft = await world.a_draft(buyer, community, closes_at=closes_at.isoformat())
    await member.reply(due[0], message="À temps")
    updates: list[str] = []

    def note(*arguments: object) -> None:
        if str(arguments[2]).startswith("UPDATE consultation"):
            updates.append(str(arguments[2]))

    engine = world.stand.runtime.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        clock.shift(timedelta(days=1))
        ring(world)
        for call in due:
            await world.stand.hear(ConsultationClosed, consultation_id=call)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(updates) <= 3, "set by set, not one by one"
    renew(buyer, member)
    for call in due:
        shown = (await buyer.get(f"/{call}")).json()
        assert shown["state"] == "closed"
        assert datetime.fromisoformat(shown["ended_at"]) == closes_at
        assert world.stand.heard_count(ConsultationClosed, consultation_id=call) == 1
    opened = await world.stand.client.get(f"{URL}/{due[0]}/replies", headers=buyer.headers)
    assert [item["message"] for item in opened.json()["items"]] == ["À temps"]
    states = {
        str(row["id"]): row["state"]
        for row in await world.stand.rows(
            "select id, state from consultation where id = any($1)", [UUID(later), UUID(draft)]
        )
    }
    assert states == {later: "published", draft: "draft"}


async def test_more_than_one_batch_is_closed(world: World, tomorrow: None) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    await world.stand.rows(
        "insert into consultation (id, company_id, title, description, kind, public, state,"
        " closes_at, created_at, published_at)"
        " select gen_random_uuid(), $1, 'Un appel', 'Un besoin', 'sourcing', false, 'published',"
        " now() + interval '1 hour', now(), now() from generate_series(1, 1100)",
        buyer.company_id,
    )
    clock.shift(timedelta(days=1))
    ring(world)
    await world.stand.eventually(
        "select count(*) = 1100 from consultation where company_id = $1 and state = 'closed'",
        buyer.company_id,
    )
    assert community
