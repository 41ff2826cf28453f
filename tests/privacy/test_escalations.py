"""Silence is told to the DPO at each quarter of the time, once, in few mails."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from services.privacy.jobs.escalations import escalate, tell_dpo
from tests.mailbox import Mailbox
from tests.privacy.conftest import a_partner
from tests.privacy.troupe import Partner, Troupe, ask, completed, dpo, state
from tests.stand import Stand

DPO = "dpo@ccibusiness.example"
LIST = "/api/privacy/escalations"


@pytest.fixture(autouse=True)
def clocks_go_right_again(post: Mailbox) -> Iterator[None]:
    post.mails.clear()
    yield
    clock.shift(timedelta(0))
    post.refusing = False


def set_clock(at: datetime) -> None:
    clock.shift(timedelta(0))
    clock.shift(at - clock.now())


async def frozen(privacy: Stand, erasure_id: UUID, participant: str) -> dict[str, Any]:
    """The step, once it is there."""
    await privacy.eventually(
        "SELECT sent_at IS NOT NULL FROM erasure JOIN broadcast USING (position)"
        " WHERE erasure_id = $1",
        erasure_id,
    )
    [row] = await privacy.rows(
        "SELECT step.*, reserved_at FROM step JOIN broadcast USING (position)"
        " WHERE erasure_id = $1 AND participant = $2",
        erasure_id,
        participant,
    )
    return dict(row)


async def levels(privacy: Stand, partner: Partner) -> list[int]:
    """What was told of this partner's steps, each level once per step."""
    rows = await privacy.rows(
        "SELECT level FROM escalation WHERE participant = $1 ORDER BY level", partner.name
    )
    return [row["level"] for row in rows]


async def listed(privacy: Stand, partner: Partner, **query: Any) -> list[dict[str, Any]]:
    answer = await privacy.client.get(LIST, params={"limit": 100, **query}, headers=dpo(privacy))
    assert answer.status_code == 200, answer.text
    return [item for item in answer.json()["items"] if item["participant"] == partner.name]


async def test_a_step_escalates_once_at_each_quarter_of_its_time_to_the_minute(
    privacy: Stand, troupe: Troupe, post: Mailbox
) -> None:
    async with a_partner(privacy, deadline_days=1) as partner:
        erasure_id = await ask(privacy)
        step = await frozen(privacy, erasure_id, partner.name)
        assert step["due_by"] - step["reserved_at"] == timedelta(days=1)
        assert (await state(privacy, erasure_id))["state"] == "open"
        for level in (1, 2, 3, 4):
            at = step["reserved_at"] + timedelta(hours=6 * level)
            set_clock(at - timedelta(seconds=30))
            await escalate(privacy.runtime)
            assert await levels(privacy, partner) == list(range(1, level))
            set_clock(at + timedelta(seconds=30))
            await escalate(privacy.runtime)
            await privacy.eventually(
                "SELECT count(*) FROM escalation WHERE participant = $1 AND level = $2",
                partner.name,
                level,
            )
            mail = await post.wait_for(DPO, count=level)
            assert f"{partner.name} : " in mail.get_content()
            assert str(erasure_id) not in mail.as_string()
            view = await state(privacy, erasure_id)
            assert view["state"] == "escalated"
            [of_partner] = [s for s in view["steps"] if s["participant"] == partner.name]
            assert (of_partner["escalated"], of_partner["outcome"]) == (level, None)
        assert ("délai dépassé" in mail.get_content(), mail["Subject"]) == (
            True,
            "Effacements en retard",
        )
        set_clock(step["due_by"] + timedelta(days=10))
        for _ in range(2):
            await escalate(privacy.runtime)
            await tell_dpo(privacy.runtime)
        assert await levels(privacy, partner) == [1, 2, 3, 4]
        assert len(post.to(DPO)) == 4
        [item] = await listed(privacy, partner)
        assert (item["erasure_id"], item["outcome"]) == (str(erasure_id), None)
        assert [told["level"] for told in item["levels"]] == [1, 2, 3, 4]
        assert all(told["mailed_at"] for told in item["levels"])
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)
        assert (await state(privacy, erasure_id))["state"] == "completed"
        assert await listed(privacy, partner) == []
        [item] = await listed(privacy, partner, still_open=False)
        assert item["outcome"] == "erased"


async def test_a_partner_dead_for_long_is_told_in_few_mails_and_none_is_lost_with_the_mail_server(
    privacy: Stand, troupe: Troupe, post: Mailbox
) -> None:
    async with a_partner(privacy, deadline_days=4) as partner:
        first = await ask(privacy)
        step = await frozen(privacy, first, partner.name)
        # As if it had been asked five minutes before the others.
        await privacy.rows(
            "UPDATE broadcast SET reserved_at = reserved_at - interval '5 minutes'"
            " WHERE position = $1",
            step["position"],
        )
        await privacy.rows(
            "UPDATE step SET escalate_at = 'epoch' WHERE erasure_id = $1 AND participant = $2",
            first,
            partner.name,
        )
        start = step["reserved_at"]
        more = [await ask(privacy) for _ in range(9)]
        for erasure_id in more:
            await frozen(privacy, erasure_id, partner.name)
        set_clock(start + timedelta(days=1, minutes=-2))
        mail = await post.wait_for(DPO)
        assert "un quart du délai écoulé, 1 étape," in mail.get_content()
        # Nine more become due minutes after that mail: they wait, and the mail server goes away.
        set_clock(start + timedelta(days=1, minutes=10))
        await privacy.eventually(
            "SELECT count(*) = 10 FROM escalation WHERE participant = $1", partner.name
        )
        await tell_dpo(privacy.runtime)
        assert len(post.to(DPO)) == 1
        post.refusing, post.refused = True, 0
        set_clock(start + timedelta(days=1, hours=5))
        await tell_dpo(privacy.runtime)
        await privacy.eventually("SELECT max(attempts) > 0 FROM escalation_mail")
        assert len(await listed(privacy, partner)) == 10  # nothing else has stopped
        post.refusing = False
        set_clock(start + timedelta(days=1, hours=6))
        await post.wait_for(DPO, count=2)
        [_, mail] = post.to(DPO)
        assert "un quart du délai écoulé, 9 étapes," in mail.get_content()
        # As when a worker dies between the mail server's yes and its own commit.
        await privacy.eventually("SELECT count(*) = 0 FROM escalation_mail WHERE sent_at IS NULL")
        await privacy.rows(
            "UPDATE escalation_mail SET sent_at = NULL, due_at = 'epoch'"
            " WHERE strpos($1, mail_id::text) > 0",
            mail["Message-ID"],
        )
        await post.wait_for(DPO, count=3)
        again = post.to(DPO)[2]
        assert (again["Message-ID"], again.get_content()) == (
            mail["Message-ID"],
            mail.get_content(),
        )
        page: str | None = f"{LIST}?limit=4"
        found: list[str] = []
        while page:
            answer = await privacy.client.get(page, headers=dpo(privacy))
            found += [item["erasure_id"] for item in answer.json()["items"]]
            page = answer.headers.get("link", "").partition(">")[0].removeprefix("<") or None
        assert sorted(found) == sorted(str(one) for one in (first, *more))
        waiting = {first, *more}
        while waiting:
            command = await partner.next_command()
            await partner.give_word(command)
            waiting -= {subject.erasure_id for subject in command.subjects}
        for erasure_id in (first, *more):
            await completed(privacy, erasure_id)


async def test_a_job_that_slept_tells_every_quarter_it_missed_and_one_mail_tells_them_all(
    privacy: Stand, troupe: Troupe, post: Mailbox
) -> None:
    async with a_partner(privacy, deadline_days=2) as partner:
        erasure_id = await ask(privacy)
        step = await frozen(privacy, erasure_id, partner.name)
        # As a row that an earlier release has written.
        await privacy.rows(
            "UPDATE step SET escalate_at = DEFAULT WHERE erasure_id = $1 AND participant = $2",
            erasure_id,
            partner.name,
        )
        await privacy.eventually(
            "SELECT escalate_at > 'epoch' FROM step WHERE erasure_id = $1 AND participant = $2",
            erasure_id,
            partner.name,
        )
        assert await levels(privacy, partner) == []
        set_clock(step["due_by"] + timedelta(minutes=1))
        await privacy.eventually(
            "SELECT count(*) = 4 FROM escalation WHERE participant = $1", partner.name
        )
        mail = await post.wait_for(DPO)
        assert all(
            words in mail.get_content() for words in ("un quart", "moitié", "trois quarts", "passé")
        )
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)
        assert len(post.to(DPO)) == 1


@pytest.mark.parametrize("query", ["after=nonsense", "limit=0", "limit=1000", "still_open=perhaps"])
async def test_a_malformed_question_is_refused(privacy: Stand, query: str) -> None:
    answer = await privacy.client.get(f"{LIST}?{query}", headers=dpo(privacy))
    assert answer.status_code == 422


async def test_only_the_dpo_reads_what_was_escalated(privacy: Stand) -> None:
    for headers, expected in (
        ({}, 401),
        (privacy.token(new_id()), 403),
        (privacy.token(new_id(), roles=[Role.OPERATOR, Role.AGENT, Role.BUYER]), 403),
        (privacy.token(scopes=["identity:addresses"]), 403),
    ):
        assert (await privacy.client.get(LIST, headers=headers)).status_code == expected
