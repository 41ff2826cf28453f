"""The one mail that says it is done, and the sealed address that lives until then."""

import asyncio
import io
from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from pypdf import PdfReader

from chassis import clock
from services.privacy.credentials import unseal
from tests.privacy.conftest import Members
from tests.privacy.troupe import Troupe, ask, completed, dpo, open_steps, state
from tests.stand import Stand


async def found_in_database(stand: Stand, *needles: str) -> list[str]:
    """The tables in which one of these texts stands, in any column."""
    tables = await stand.rows(
        "SELECT quote_ident(relname) AS name FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return [
        table["name"]
        for table in tables
        for needle in needles
        if await stand.rows(
            f"SELECT 1 FROM {table['name']} AS row"
            " WHERE strpos(row::text, $1) > 0 OR strpos(row::text, encode($1::bytea, 'hex')) > 0",
            needle,
        )
    ]


async def sealed(stand: Stand, erasure_id: UUID) -> bytes:
    await stand.eventually("SELECT position FROM erasure WHERE erasure_id = $1", erasure_id)
    [row] = await stand.rows(
        "SELECT sealed_address FROM last_message WHERE erasure_id = $1", erasure_id
    )
    found: bytes = row["sealed_address"]
    return found


async def gone(stand: Stand, erasure_id: UUID) -> None:
    await stand.eventually(
        "SELECT count(*) = 0 FROM last_message WHERE erasure_id = $1", erasure_id
    )


def attachments(mail: EmailMessage) -> dict[str | None, bytes]:
    return {part.get_filename(): part.get_content() for part in mail.iter_attachments()}


async def test_the_person_gets_the_certificate_and_the_address_is_gone(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy, person)
        command = await directory.commanded(erasure_id)
        hidden = await sealed(privacy, erasure_id)
        assert await found_in_database(privacy, email) == []
        assert await found_in_database(privacy, hidden.hex()) == ["last_message"]
        assert members.post.to(email) == []
        await directory.acknowledge(command)
    mail = await members.post.wait_for(email)
    answer = await privacy.client.get(
        f"/api/privacy/certificates/{erasure_id}", headers=dpo(privacy)
    )
    proofs = attachments(mail)
    assert set(proofs) == {"certificat-effacement.pdf", "certificat-effacement.jws"}
    signed = proofs["certificat-effacement.jws"]
    assert signed.decode() == answer.json()["jws"]
    [inside] = PdfReader(io.BytesIO(proofs["certificat-effacement.pdf"])).attachment_list
    assert inside.content == signed
    assert str(erasure_id) in mail.get_body(("plain",)).get_content()
    await gone(privacy, erasure_id)
    assert await found_in_database(privacy, email, hidden.hex()) == []
    assert email not in str(privacy.heard)
    await asyncio.sleep(2.5)
    assert len(members.post.to(email)) == 1


async def test_the_sealed_address_is_unreadable_without_its_key_and_its_row(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy, person)
        command = await directory.commanded(erasure_id)
        hidden = await sealed(privacy, erasure_id)
        await directory.acknowledge(command)
    key = (privacy.layout.secrets / "privacy" / "sealing.key").read_text()
    assert email.encode() not in hidden
    assert unseal(hidden, key=key, context=erasure_id.bytes) == email
    for other_key, context in (("A" * 43, erasure_id.bytes), (key, person.bytes)):
        with pytest.raises(InvalidTag):
            unseal(hidden, key=other_key, context=context)
    await gone(privacy, erasure_id)


async def test_a_mail_server_that_is_away_delays_the_message_and_loses_nothing(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    post = members.post
    post.refusing, post.refused = True, 0
    try:
        erasure_id = await ask(privacy, person)
        await completed(privacy, erasure_id)
        for tries in (1, 2):
            await privacy.eventually(
                "SELECT attempts >= $2 FROM last_message WHERE erasure_id = $1", erasure_id, tries
            )
            clock.shift(timedelta(seconds=30 * tries))
        assert (await state(privacy, erasure_id))["state"] == "completed"
        assert await sealed(privacy, erasure_id)
        post.refusing = False
        clock.shift(timedelta(hours=3))
        await post.wait_for(email)
        await gone(privacy, erasure_id)
    finally:
        post.refusing = False
        clock.shift(timedelta(0))
    assert len(post.to(email)) == 1


async def test_one_address_that_cannot_be_unsealed_makes_nobody_get_mail_twice(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    """As after a lost key: its owner hears nothing, everybody else exactly once."""
    (first, first_email), (second, _), (third, third_email) = [
        await members.join() for _ in range(3)
    ]
    with troupe.silent("directory") as directory:
        asked = [await ask(privacy, person) for person in (first, second, third)]
        await privacy.eventually(
            "SELECT count(*) = 3 FROM last_message WHERE erasure_id = ANY($1)", asked
        )
        await privacy.rows(
            "UPDATE last_message SET sealed_address = $2 WHERE erasure_id = $1",
            asked[1],
            b"of another key, long enough",
        )
        for command in {
            c.position: c for c in [await directory.commanded(e) for e in asked]
        }.values():
            await directory.acknowledge(command)
    for email in (first_email, third_email):
        await members.post.wait_for(email)
    for erasure_id in (asked[0], asked[2]):
        await gone(privacy, erasure_id)
    await asyncio.sleep(4.5)
    assert [len(members.post.to(email)) for email in (first_email, third_email)] == [1, 1]
    assert await sealed(privacy, asked[1])
    await privacy.rows("DELETE FROM last_message WHERE erasure_id = $1", asked[1])


async def test_an_address_is_destroyed_at_its_deadline_even_unused(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy, person)
        command = await directory.commanded(erasure_id)
        assert await sealed(privacy, erasure_id)
        try:
            clock.shift(timedelta(days=31))
            await gone(privacy, erasure_id)
        finally:
            clock.shift(timedelta(0))
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)
    assert members.post.to(email) == []


async def test_an_erasure_waits_for_an_identity_that_is_away_and_goes_on_when_it_is_back(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    await members.down()
    try:
        erasure_id = await ask(privacy, person)
        await privacy.eventually("SELECT count(*) FROM erasure WHERE erasure_id = $1", erasure_id)
        await asyncio.sleep(2.5)
        view = await state(privacy, erasure_id)
        assert (view["state"], len(open_steps(view))) == ("open", len(view["steps"]))
        assert not any(str(erasure_id) in str(c) for c in troupe["directory"].commands)
    finally:
        await members.up()
    await completed(privacy, erasure_id)
    await members.post.wait_for(email)


async def test_after_ten_minutes_being_forgotten_matters_more_than_being_told(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    await members.down()
    try:
        erasure_id = await ask(privacy, person)
        await privacy.eventually("SELECT count(*) FROM erasure WHERE erasure_id = $1", erasure_id)
        clock.shift(timedelta(minutes=11))
        await completed(privacy, erasure_id)
    finally:
        clock.shift(timedelta(0))
        await members.up()
    assert not await privacy.rows("SELECT 1 FROM last_message WHERE erasure_id = $1", erasure_id)
    assert members.post.to(email) == []


async def test_who_has_waited_for_seconds_is_still_told_when_others_have_waited_too_long(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    await members.down()
    try:
        patient = await ask(privacy, requested_at=clock.now() - timedelta(minutes=11))
        fresh = await ask(privacy, person)
        await privacy.eventually("SELECT count(*) FROM erasure WHERE erasure_id = $1", fresh)
        await completed(privacy, patient)
        await asyncio.sleep(1.2)  # the job has come round once more
        [row] = await privacy.rows("SELECT position FROM erasure WHERE erasure_id = $1", fresh)
        assert row["position"] is None
    finally:
        await members.up()
    await completed(privacy, fresh)
    await members.post.wait_for(email)
