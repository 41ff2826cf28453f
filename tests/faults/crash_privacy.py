"""For each label of privacy, how its processes come there; the other services are played, honestly."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2

from chassis import clock
from contracts.privacy import Erase, ErasureCompleted
from services.privacy.models.exports import EXPORT_PATIENCE
from tests.faults.crash_services import join
from tests.faults.crash_stage import START, Stage, Step
from tests.faults.erasure_workers import Participant
from tests.mailbox import Mailbox, token_in
from tests.privacy.conftest import Members
from tests.privacy.troupe import Troupe, ask
from tests.retention.test_breaker import accounts
from tests.retention.years import RULE, Years

FORM = "/api/privacy/rights-requests"


class Privacy:
    """What people ask of privacy on this stage, and what must have become of it."""

    def __init__(self, place: Participant, troupe: Troupe, members: Members) -> None:
        self.place, self.stand, self.troupe, self.members = place, place.stand, troupe, members
        self.post: Mailbox = members.post
        self.asked: dict[UUID, str] = {}
        """Erasures, each with the address to which its last message must go."""
        self.restored: list[int] = []
        """Positions that an earlier life of this database broadcast."""
        self.exports: dict[UUID, str] = {}
        self.forms: list[str] = []
        self.stage: Stage
        self.followed = 0
        """Links of forms that were followed."""

    @property
    def alone(self) -> bool:
        """Whether labels are died at in any order, so that each needs an erasure of its own."""
        return self.stage.deaths > 1

    # --- erasures

    async def erase(self) -> None:
        """Somebody asks, unless somebody's erasure is still under way: one passes many labels."""
        done = await self.stand.rows(
            "SELECT FROM erasure WHERE erasure_id = ANY($1) AND completed_at IS NOT NULL",
            list(self.asked),
        )
        if self.alone or len(done) == len(self.asked):
            await self._ask()

    async def erase_over_a_draft(self) -> None:
        """One who died while it wrote an entry has left what it had."""
        folder = Path(urlsplit(self.stand.settings.ledger_url).path)
        (folder / ".000000000001.json.left").write_bytes(b"{")
        await self.erase()

    async def erase_another(self) -> None:
        """Whose last message is still to be sent."""
        if self.alone or not await self.stand.rows("SELECT FROM last_message"):
            await self._ask()

    async def _ask(self) -> None:
        person, email = await join(self.members)
        self.asked[await ask(self.stand, person)] = email

    async def erase_unanswered(self) -> None:
        """The directory keeps silent, and a quarter of its time has passed."""
        self.troupe["directory"].silent = True
        await self._ask()
        async with self.place.worker():
            *_, erasure_id = self.asked
            await self.stand.eventually(
                "SELECT position IS NOT NULL FROM erasure WHERE erasure_id = $1", erasure_id
            )
            await self.stand.eventually(
                "SELECT count(*) = 0 FROM step WHERE outcome IS NULL AND participant <> 'directory'"
            )
        await self.stand.rows(
            "UPDATE broadcast SET reserved_at = reserved_at - interval '12 days'"
            " WHERE position IN (SELECT position FROM step WHERE outcome IS NULL)"
        )
        await self.stand.rows(
            "UPDATE step SET escalate_at = now() WHERE outcome IS NULL AND escalate_at IS NOT NULL"
        )
        await self.stand.rows(
            "UPDATE escalation_mail SET composed_at = composed_at - interval '5 hours'"
        )

    async def answer_again(self) -> None:
        """The directory speaks: to what it was told meanwhile, and from now on."""
        actor = self.troupe["directory"]
        actor.silent = False
        for command in actor.commands:
            await actor.acknowledge(command)

    # --- a database restored to an earlier state

    async def restore(self) -> None:
        """The copy holds what an earlier life of this database broadcast, an hour ago."""
        [last] = await self.stand.rows(
            "SELECT (SELECT max(position) FROM applied) AS applied, max(position) AS position,"
            " (array_agg(entry_hash ORDER BY position DESC))[1] AS head FROM broadcast"
        )
        if self.restored and self.restored[-1] != last["applied"]:
            return  # the gate stays closed until it has passed every label
        if last["position"]:
            self.stand.position, self.stand.head = last["position"], last["head"]
        at = (clock.now() - timedelta(hours=1)).isoformat()
        command, sealed = self.stand.entry(uuid4(), at=at)
        await self.stand.runtime.ledger.append(command.position, sealed)
        self.restored.append(command.position)

    # --- exports

    async def export(self) -> None:
        """Of somebody whose other services have not answered for a day: it is ready without them."""
        person, email = await join(self.members)
        answer = await self.stand.client.post(
            "/api/privacy/me/exports", headers=self.stand.token(person)
        )
        assert answer.status_code == 202, answer.text
        export_id = UUID(answer.json()["id"])
        self.exports[export_id] = email
        await self.stand.rows(
            "UPDATE export SET requested_at = requested_at - $2::interval WHERE id = $1",
            export_id,
            EXPORT_PATIENCE,
        )

    async def export_too_soon(self) -> None:
        await self.export()
        *_, export_id = self.exports
        await self.stand.rows("UPDATE export SET requested_at = now() WHERE id = $1", export_id)

    async def a_day_later(self) -> None:
        await self.stand.rows(
            "UPDATE export SET requested_at = requested_at - $1::interval, due_at = now()"
            " WHERE state = 'waiting'",
            EXPORT_PATIENCE,
        )

    async def export_of_nobody(self) -> None:
        """Erased at identity already, and the command on its way here."""
        await self.export()
        export_id, _ = self.exports.popitem()
        [row] = await self.stand.rows("SELECT person_id FROM export WHERE id = $1", export_id)
        await self.members.stand.erase(row["person_id"])

    async def export_over(self) -> None:
        await self.export()
        export_id, _ = self.exports.popitem()
        async with self.place.worker():
            await self.stand.eventually(
                "SELECT state = 'ready' AND tell_at IS NULL FROM export WHERE id = $1", export_id
            )
        await self.stand.rows("UPDATE export SET expires_at = now() WHERE id = $1", export_id)

    # --- rights

    async def write_form(self) -> None:
        self.forms.append(f"{uuid4().hex}@ailleurs.example")
        answer = await self.stand.client.post(
            FORM,
            json={"kind": "access", "email": self.forms[-1]},
            headers={"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"},
        )
        assert answer.status_code == 202, answer.text

    async def a_minute_later(self) -> None:
        """A mail that was claimed and not settled is taken up after a minute."""
        await self.stand.rows("UPDATE rights_mail SET due_at = now() WHERE due_at IS NOT NULL")

    async def mailed(self) -> None:
        await self.write_form()
        async with self.place.worker():
            await self.post.wait_for(self.forms[-1], seconds=20)
            await self.stand.eventually("SELECT count(*) = 0 FROM rights_mail WHERE due_at < now()")

    async def confirm(self, door: httpx2.AsyncClient) -> None:
        token = token_in(self.post.to(self.forms[-1])[-1])
        await door.post(f"{FORM}/confirmations", json={"token": token})

    async def confirmed(self) -> None:
        """It was committed before the answer that was lost: the link has done its work."""
        [row] = await self.stand.rows(
            "SELECT count(*) FROM rights_request WHERE state <> 'unconfirmed'"
        )
        self.followed += 1
        assert row["count"] == self.followed

    # --- retention

    async def retention(self) -> None:
        """A day on which five people are to be warned."""
        await self.stand.rows("DELETE FROM retention_run")
        await accounts(Years(stand=self.stand), 5, opened_on=date(clock.now().year - 2, 1, 1))
        await self.stand.rows(
            "INSERT INTO memberships_heard (service, until) VALUES ('directory', $1)"
            " ON CONFLICT DO NOTHING",
            clock.now(),
        )

    async def confirmed_run(self) -> None:
        """After a restore a run waits for the DPO, who confirms it."""
        await self.retention()
        years = Years(stand=self.stand)
        run = (await years.call("POST", "retention/runs", json={"rule": RULE})).json()
        if run["state"] == "held":
            assert (await years.confirm(run)).status_code == 202

    async def held_run(self) -> None:
        """More people than usual: the run waits for the DPO, who must be told."""
        await self.retention()
        years = Years(stand=self.stand)
        await accounts(years, 60, opened_on=date(clock.now().year - 2, 1, 1))
        answer = await years.call("POST", "retention/runs", json={"rule": RULE})
        assert answer.json()["state"] == "held", answer.text

    # --- what must be true

    async def unsettled(self) -> str:
        for erasure_id, email in self.asked.items():
            if not self.stand.heard_count(ErasureCompleted, erasure_id=erasure_id):
                return f"erasure {erasure_id} is not completed"
            if not self.post.to(email):
                return "a last message that has not come"
        for table, condition in (
            ("last_message", "true"),
            ("export", "state = 'waiting' OR tell_at IS NOT NULL OR expires_at <= now()"),
            ("rights_mail", "due_at IS NOT NULL"),
            ("escalation_mail", "sent_at IS NULL"),
            ("retention_run", "state = 'running' OR (state = 'held' AND told_at IS NULL)"),
        ):
            [row] = await self.stand.rows(f"SELECT count(*) FROM {table} WHERE {condition}")
            if row["count"]:
                return f"{row['count']} of {table}"
        return ""

    async def holds(self, *, deaths: int) -> None:
        """Each erasure once, in one position, in an unbroken ledger; few mails, files with rows."""
        await self._the_ledger_is_whole()
        for erasure_id in self.asked:
            commands = {
                (one["data"]["position"], one["data"]["entry_hash"])
                for one in self.stand.heard
                if one["type"] == Erase.event_type()
                and str(erasure_id) in str(one["data"]["subjects"])
            }
            assert len(commands) == 1, f"{erasure_id} was broadcast in {commands}"
            ids = {
                one["id"]
                for one in self.stand.heard
                if one["type"] == ErasureCompleted.event_type()
                and one["data"]["erasure_id"] == str(erasure_id)
            }
            assert len(ids) == 1
        for email in [*self.asked.values(), *self.exports.values(), *self.forms]:
            mails = self.post.to(email)
            # Once more for each that died after the server's yes, and could not know of it.
            times = Counter(str(mail["Subject"]) for mail in mails)
            assert 1 <= max(times.values(), default=0) <= 1 + deaths, (email, times)
        for email in [*self.asked.values(), *self.exports.values()]:
            assert len({mail["Message-ID"] for mail in self.post.to(email)}) == 1
        stored = await self.stand.rows("SELECT storage_key FROM export WHERE state = 'ready'")
        folder = Path(urlsplit(self.stand.settings.storage_url).path)
        files = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        assert files == {row["storage_key"] for row in stored}

    async def _the_ledger_is_whole(self) -> None:
        rows = await self.stand.rows("SELECT position, entry_hash FROM broadcast ORDER BY position")
        folder = Path(urlsplit(self.stand.settings.ledger_url).path)
        copies = {
            int(path.stem): json.loads(path.read_bytes()) for path in folder.glob("[0-9]*.json")
        }
        assert {row["position"]: row["entry_hash"] for row in rows} == {
            position: copy["entry_hash"] for position, copy in copies.items()
        }
        assert sorted(copies) == list(range(1, len(copies) + 1))
        for position in sorted(copies)[1:]:
            before = copies[position - 1]["entry_hash"]
            assert copies[position]["entry"]["previous_hash"] == before


def of_privacy(place: Participant, troupe: Troupe, members: Members) -> Stage:
    """Restores first, since the ledger begins with them; then whatever people ask for."""
    it = Privacy(place, troupe, members)
    stage = Stage(place=place, steps={}, settled=it.unsettled, later=it.a_minute_later)
    stage.more, it.stage = it.holds, stage
    restore = Step(before=it.restore)
    erase = Step(before=it.erase)
    told = Step(before=it.erase_another)
    export = Step(before=it.export)
    form = Step(before=it.write_form, after=it.a_minute_later)
    over = Step(before=it.export_over)
    overdue = Step(before=it.erase_unanswered, after=it.answer_again)
    stage.steps = {
        "restore.after_epoch": restore,
        "privacy.after_reserved_taken_in": restore,
        "privacy.after_lacking_taken_in": restore,
        "privacy.after_chained_again": restore,
        "restore.after_position": restore,
        "restore.before_open": restore,
        "privacy.after_prepare": START,
        "privacy.after_chase": START,
        "privacy.after_addresses_destroyed": START,
        "privacy.after_missed_noted": START,
        "privacy.after_missed_told": START,
        "privacy.after_escalate": START,
        "privacy.after_compose": START,
        "privacy.after_proofs_pruned": START,
        "privacy.after_refusals_pruned": START,
        "privacy.after_rights_sweep": START,
        "privacy.after_reserve": erase,
        "ledger.after_sweep": Step(before=it.erase_over_a_draft),
        "ledger.after_draft": erase,
        "ledger.after_fsync": erase,
        "ledger.after_link": erase,
        "ledger.before_folder_fsync": erase,
        "privacy.after_ledger_copy": erase,
        "privacy.after_send": erase,
        "privacy.after_complete": erase,
        "privacy.after_mail": told,
        "privacy.after_last_message": told,
        "privacy.after_escalation_mail": overdue,
        "privacy.after_escalation_told": overdue,
        "privacy.after_export_postpone": Step(before=it.export_too_soon, after=it.a_day_later),
        "privacy.after_export_written": export,
        "privacy.after_export_stored": export,
        "privacy.after_export_finish": export,
        "privacy.after_export_mail": export,
        "privacy.after_export_told": export,
        "privacy.after_export_drop": Step(before=it.export_of_nobody),
        "privacy.after_export_files": over,
        "privacy.after_export_sweep": over,
        "privacy.after_rights_claim": form,
        "privacy.after_rights_mail": form,
        "privacy.after_rights_settled": form,
        "privacy.after_rights_confirmed": Step(before=it.mailed, ask=it.confirm),
        "privacy.after_retention_begin": Step(before=it.retention),
        "privacy.after_retention_batch": Step(before=it.confirmed_run),
        "privacy.after_retention_mail": Step(before=it.held_run),
        "privacy.after_retention_told": START,
    }
    return stage
