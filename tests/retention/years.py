"""Days in Paris, the people who open accounts on them, and the runs that look for them."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2

from chassis import clock
from chassis.ids import new_id
from contracts.directory import MembershipGranted, MembershipsTold
from contracts.identity import AccountOpened
from contracts.notifications import RetentionWarningSettled, WarningOutcome
from contracts.privacy import RetentionWarningDue
from tests.privacy.troupe import dpo
from tests.stand import Stand

PARIS = ZoneInfo("Europe/Paris")
RULE = "incomplete-accounts"
Data = dict[str, Any]


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), PARIS)


@dataclass(kw_only=True)
class Years:
    """Privacy, and the days that a test lets pass."""

    stand: Stand
    settled: set[str] = field(default_factory=set)

    def go_to(self, when: date | datetime) -> None:
        """All clocks of this process tell that instant, or noon of that day in Paris."""
        instant = when if isinstance(when, datetime) else noon(when)
        clock.rehearse(instant - (clock.now() - clock.rehearsed()))
        # Kept by a clock that a test does not move.
        self.stand.runtime.credentials._ends = float("-inf")

    async def account(self, opened: date | datetime) -> UUID:
        """Somebody signs up then."""
        person = new_id()
        instant = opened if isinstance(opened, datetime) else noon(opened)
        await self.stand.say(
            AccountOpened(account_id=person, notice_version="2026-11", opened_at=instant)
        )
        await self.known(person)
        return person

    async def known(self, person: UUID, condition: str = "true") -> None:
        await self.stand.eventually(
            f"SELECT count(*) FROM retention WHERE person_id = $1 AND {condition}", person
        )

    async def join(self, person: UUID) -> None:
        """A membership is granted, and the news of it arrives."""
        await self.stand.say(
            MembershipGranted(
                membership_id=new_id(),
                person_id=person,
                company_id=new_id(),
                community_id=new_id(),
            )
        )
        await self.known(person, "joined_on IS NOT NULL")

    async def hear(self, until: datetime | None = None) -> None:
        """The directory says how far it has told; by default until now."""
        event_id = await self.stand.say(MembershipsTold(until=until or clock.now()))
        await self.stand.eventually("SELECT 1 FROM inbox WHERE event_id = $1", event_id)

    async def run(self, day: date, *, state: str = "finished") -> Data:
        """Let that day come; returns its run once it has got there."""
        self.go_to(day)
        await self.hear()
        run_id = await self.stand.eventually(
            "SELECT id FROM retention_run WHERE day = $1 AND state = $2 AND NOT by_hand", day, state
        )
        found: Data = await self.get(f"retention/runs/{run_id}")
        return found

    async def held(self) -> Data:
        """The run that the breaker holds, once there is one."""
        run_id = await self.stand.eventually("SELECT id FROM retention_run WHERE state = 'held'")
        found: Data = await self.get(f"retention/runs/{run_id}")
        return found

    async def sleepless_until(self, day: date) -> None:
        """Runs with nothing to do have taken place until the day before."""
        await self.stand.rows(
            "INSERT INTO retention_run (id, rule, day, by_hand, state, due_warnings, due_erasures,"
            " most_warnings, most_erasures, warned, erased, spared, started_at, finished_at)"
            " VALUES ($1, $2, $3, false, 'finished', 0, 0, 50, 50, 0, 0, 0, $4, $4)",
            new_id(),
            RULE,
            day - timedelta(days=1),
            noon(day) - timedelta(days=1),
        )

    async def live(self, *days: date) -> None:
        """A run on each of these days, whatever lies between them; warnings arrive."""
        for day in days:
            await self.sleepless_until(day)
            await self.run(day)
            await self.deliver()

    async def doom(self, opened: date, last: date) -> UUID:
        """Somebody whose last day is today, and who has had both warnings."""
        self.go_to(last - timedelta(days=40))
        person = await self.account(opened)
        await self.live(last - timedelta(days=30), last - timedelta(days=7))
        await self.sleepless_until(last + timedelta(days=1))
        self.go_to(last)
        assert await self.own(person) | {"why": "", "source": "", "how_to_keep": ""} == {
            "kept_until": last.isoformat(),
            "rule": RULE,
            "warnings": 2,
            "why": "",
            "source": "",
            "how_to_keep": "",
        }
        return person

    def warnings(self, person: UUID) -> list[Data]:
        """The warnings that privacy asked for, oldest first; the same one asked again counts."""
        return [
            envelope["data"]
            for envelope in self.stand.heard
            if envelope["type"] == RetentionWarningDue.event_type()
            and envelope["data"]["person_id"] == str(person)
        ]

    async def deliver(
        self, outcome: WarningOutcome = WarningOutcome.SENT, *, days_late: int = 0
    ) -> None:
        """Notifications says what became of every warning that is on its way."""
        waiting = await self.stand.rows(
            "SELECT person_id, warning_id FROM retention WHERE warning_id IS NOT NULL"
        )
        for row in waiting:
            due = await self.stand.hear(RetentionWarningDue, warning_id=row["warning_id"])
            kept_until = date.fromisoformat(due["kept_until"]) + timedelta(days=days_late)
            await self.stand.say(
                RetentionWarningSettled(
                    person_id=row["person_id"],
                    warning_id=row["warning_id"],
                    outcome=outcome,
                    kept_until=kept_until,
                )
            )
        for row in waiting:
            await self.known(row["person_id"], "warning_id IS NULL")

    async def erasures(self, person: UUID) -> list[Data]:
        rows = await self.stand.rows("SELECT * FROM erasure WHERE subject_id = $1", person)
        return [dict(row) for row in rows]

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        """A request of the DPO, unless the headers are somebody else's."""
        return await self.stand.client.request(
            method,
            f"/api/privacy/{path}",
            headers=dpo(self.stand) if headers is None else headers,
            **more,
        )

    async def runs(self) -> list[Data]:
        found: list[Data] = (await self.get("retention/runs"))["items"]
        return found

    async def confirm(self, run: Data) -> httpx2.Response:
        return await self.call("POST", f"retention/runs/{run['id']}/confirmation")

    async def finished(self, run: Data) -> Data:
        """A run, once it is over."""
        for _ in range(500):
            found: Data = await self.get(f"retention/runs/{run['id']}")
            if found["finished_at"]:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"not over: {found}")

    async def own(self, person: UUID) -> Data:
        """What somebody reads on the page of their account."""
        answer = await self.call("GET", "me/retention", headers=self.stand.token(person))
        assert answer.status_code == 200, answer.text
        found: Data = answer.json()
        return found


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).removeprefix("urn:ccib:problem:")
