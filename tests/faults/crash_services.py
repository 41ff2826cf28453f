"""For each label of a service, how its processes come there (identity, directory and the smaller two)."""

import asyncio
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2
from PIL import Image

from chassis import clock, rehearsal
from chassis.auth import Role
from chassis.ids import new_id
from contracts.consultations import ConsultationClosed
from contracts.directory import CommunityOpened, MembershipGranted
from tests.faults.crash_stage import START, Stage, Step
from tests.faults.erasure_workers import Participant
from tests.mailbox import Mailbox, token_in
from tests.privacy.conftest import Members

PASSWORD = "Sept-Péniches-Bleues-42"


async def join(members: Members) -> tuple[UUID, str]:
    """Somebody with a confirmed account; the mails of everybody else stay to be counted."""
    kept = list(members.post.mails)
    person, email = await members.join()
    members.post.mails[:0] = kept
    return person, email


def an_erasure(stage: Stage) -> dict[str, Step]:
    """The seams of an erasure whose command comes over the bus, in any participant."""
    erase = Step(before=stage.erase_somebody, after=stage.write_copy)
    return {
        "erasure.after_locks": erase,
        "erasure.after_rows": erase,
        "outbox.before_commit": Step(  # the first commit is that of the manifest, at the start
            before=stage.erase_somebody, after=stage.write_copy, passage=2
        ),
        "service.after_erasure": erase,
        "commands.before_ack": erase,
        "relay.after_ack_before_mark": erase,
    }


def of_identity(place: Participant, mailbox: Mailbox) -> Stage:
    """Sign-ups and their mails; sessions; erasures."""
    stage = Stage(place=place, steps={})
    client, stand = place.stand.client, place.stand
    signed_up: list[str] = []

    async def sign_up() -> None:
        signed_up.append(f"{uuid4().hex}@entreprise.example")
        body = {"email": signed_up[-1], "password": PASSWORD, "notice_version": "2026-11"}
        assert (await client.post("/api/identity/accounts", json=body)).status_code == 202

    async def a_minute_later() -> None:
        """A mail that was claimed and not settled is taken up after a minute."""
        await stand.rows("UPDATE mailed_link SET due_at = now() WHERE due_at IS NOT NULL")

    async def sign_in(door: httpx2.AsyncClient) -> None:
        body = {"email": "nobody@entreprise.example", "password": "not this one"}
        await door.post("/api/identity/sessions", json=body)

    async def sign_up_there(door: httpx2.AsyncClient) -> None:
        signed_up.append(f"{uuid4().hex}@entreprise.example")
        body = {"email": signed_up[-1], "password": PASSWORD, "notice_version": "2026-11"}
        await door.post("/api/identity/accounts", json=body)

    async def session() -> None:
        if not signed_up:
            await sign_up()
            async with place.worker():
                await mailbox.wait_for(signed_up[0])
        mail = await mailbox.wait_for(signed_up[0])
        await client.post("/api/identity/accounts/verify", json={"token": token_in(mail)})
        answer = await client.post(
            "/api/identity/sessions", json={"email": signed_up[0], "password": PASSWORD}
        )
        assert answer.status_code == 201, answer.text
        tokens.append(answer.json()["refresh_token"])

    tokens: list[str] = []

    async def refresh(door: httpx2.AsyncClient) -> None:
        await door.post("/api/identity/sessions/refresh", json={"refresh_token": tokens[-1]})

    async def its_session_is_over() -> None:
        """The answer was lost, so the token that is left has been used: nobody can tell who did."""
        answer = await client.post(
            "/api/identity/sessions/refresh", json={"refresh_token": tokens[-1]}
        )
        assert answer.status_code == 401, answer.text

    async def unsettled() -> str:
        [row] = await stand.rows("SELECT count(*) FROM mailed_link WHERE due_at IS NOT NULL")
        if row["count"]:
            return f"{row['count']} mails"
        kept = {row["email"] for row in await stand.rows("SELECT email FROM account")}
        assert set(signed_up) <= kept
        for email in signed_up:
            # Once more for each that died after the server's yes, and could not know of it.
            assert 1 <= len(mailbox.to(email)) <= 1 + stage.deaths, (email, len(mailbox.to(email)))
        return ""

    async def not_rehearsed() -> None:
        await stand.rows("DELETE FROM operator_action WHERE action = $1", rehearsal.ACTION)

    stage.settled, stage.later = unsettled, a_minute_later
    mail = Step(before=sign_up, after=a_minute_later)
    stage.steps = {
        "service.after_announce": START,
        "service.after_prune": START,
        "service.after_rehearsal": Step(before=not_rehearsed),
        "sampling.after_read": START,
        "identity.after_sweep": START,
        "identity.after_repeat_roles": START,
        "identity.after_repeat_deletions": START,
        "identity.after_link_claim": mail,
        "identity.after_link_mail": mail,
        "identity.after_link_settled": mail,
        "identity.after_failure_noted": Step(ask=sign_in),
        "http.after_commit_before_answer": Step(ask=sign_up_there),
        "identity.after_refresh": Step(before=session, ask=refresh, after=its_session_is_over),
        **an_erasure(stage),
    }
    return stage


def a_picture() -> bytes:
    stored = BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(stored, "PNG")
    return stored.getvalue()


def of_directory(place: Participant) -> Stage:
    """Photos and their files; erasures."""
    stage = Stage(place=place, steps={})
    stand = place.stand
    kind = {"Content-Type": "image/png"}
    headers = stand.token(new_id())
    photo = "/api/directory/me/photo"

    async def profile() -> None:
        body = {"last_name": "Martin", "first_name": "Ana"}
        answer = await stand.client.put("/api/directory/me/profile", json=body, headers=headers)
        assert answer.is_success, answer.text

    async def put(door: httpx2.AsyncClient) -> None:
        await door.put(photo, content=a_picture(), headers={**headers, **kind})

    async def discarded() -> None:
        await profile()
        await put(stand.client)
        assert (await stand.client.delete(photo, headers=headers)).is_success

    async def ten_minutes_later() -> None:
        """An upload that never ended is swept then."""
        await stand.rows(
            "UPDATE photo SET asked_at = asked_at - interval '11 minutes' WHERE state = 'pending'"
        )

    async def unsettled() -> str:
        rows = await stand.rows("SELECT storage_key, state FROM photo")
        if any(row["state"] != "stored" for row in rows):
            return "photos to sweep"
        folder = Path(urlsplit(stand.settings.storage_url).path)
        files = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        assert files == {row["storage_key"] for row in rows}, "a file without a row, or the reverse"
        return ""

    stage.settled = unsettled
    stored = Step(before=profile, ask=put, after=ten_minutes_later)
    sweep = Step(before=discarded)
    with_files = Step(before=stage.erase_somebody, after=stage.write_copy)
    stage.steps = {
        "directory.after_tell_memberships": START,
        "directory.after_photo_announced": stored,
        "directory.after_photo_put": stored,
        "directory.after_photo_files": sweep,
        "directory.after_photo_sweep": sweep,
        "storage.after_delete": with_files,
        "erasure.after_files": with_files,
        **an_erasure(stage),
    }
    return stage


def of_consultations(place: Participant) -> Stage:
    """Consultations whose end has come; what cannot be read, and the dead letters; erasures."""
    stage = Stage(place=place, steps={})
    stand = place.stand
    over: list[UUID] = []

    async def end_one() -> None:
        over.append(new_id())
        await stand.rows(
            "INSERT INTO consultation (id, title, description, kind, public, state, closes_at,"
            " created_at, published_at) VALUES ($1, 'Bois', 'Du chêne', 'sourcing', false,"
            " 'published', now() - interval '1 minute', now(), now() - interval '1 hour')",
            over[-1],
        )

    async def nonsense() -> None:
        await stand.say_raw(b"\x00 not an event", routing_key=CommunityOpened.routing_key())

    async def dead_letter() -> None:
        await nonsense()
        async with place.worker():
            for _ in range(400):
                if await stage.waiting("consultations.dead"):
                    return
                await asyncio.sleep(0.05)

    async def collect(door: httpx2.AsyncClient) -> None:
        await door.post(
            "/api/consultations/dead-letters/collect",
            headers=stand.token(new_id(), roles=[Role.OPERATOR]),
        )

    async def collected() -> None:
        """It is in the inbox once, though the broker will bring it again."""
        await collect(stand.client)
        assert await stage.waiting("consultations.dead") == 0
        [row] = await stand.rows(
            "SELECT count(*), min(encode(body, 'escape')) AS body FROM inbox WHERE state = 'dead'"
        )
        assert (row["count"], row["body"]) == (1, "\\000 not an event")
        await stand.rows("DELETE FROM inbox WHERE state = 'dead'")

    async def unsettled() -> str:
        for one in over:
            if not stand.heard_count(ConsultationClosed, consultation_id=one):
                return "a consultation that nobody heard to be closed"
        rows = await stand.rows("SELECT state FROM consultation WHERE id = ANY($1)", over)
        assert {row["state"] for row in rows} <= {"closed"}
        return ""

    stage.settled = unsettled
    stage.steps = {
        "consultations.after_close": Step(before=end_one),
        "consuming.before_reject": Step(before=nonsense),
        "dead_letters.after_commit_before_ack": Step(
            before=dead_letter, ask=collect, after=collected
        ),
        **an_erasure(stage),
    }
    return stage


def of_notifications(place: Participant, mailbox: Mailbox, members: Members) -> Stage:
    """Mails to members whose addresses a real identity knows; erasures."""
    stage = Stage(place=place, steps={})
    stand = place.stand
    addresses: list[str] = []

    async def a_mail() -> None:
        person, email = await join(members)
        addresses.append(email)
        community = new_id()
        await stand.say(CommunityOpened(community_id=community, slug="bois", cci="normandie"))
        await stand.say(
            MembershipGranted(
                membership_id=new_id(),
                person_id=person,
                company_id=new_id(),
                community_id=community,
            )
        )

    async def unsettled() -> str:
        rows = await stand.rows("SELECT state FROM delivery WHERE due_at < $1", clock.now())
        if any(row["state"] == "due" for row in rows):
            return "mails to send"
        for email in addresses:
            mails = mailbox.to(email)
            if not mails:
                return "a mail that has not come"
            # Once more where the server's yes was not heard, and recognisable as the same.
            assert len(mails) <= 1 + stage.deaths
            assert len({mail["Message-ID"] for mail in mails}) == 1
        return ""

    stage.settled = unsettled
    stage.steps = {
        "notifications.after_sweep": START,
        "notifications.after_mail": Step(before=a_mail),
        "notifications.after_mail_settled": Step(before=a_mail),
        **an_erasure(stage),
    }
    return stage
