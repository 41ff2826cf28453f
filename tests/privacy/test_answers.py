"""Answers that prove nothing: each leaves the step open, is shown to the DPO, and harms nobody else."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from chassis import clock
from chassis.evidence import digest
from chassis.ids import new_id
from contracts.identity import AccountLocked
from contracts.privacy import Erase, ErasureAcknowledged, ErasureCompleted, PartnerAcknowledged
from tests.privacy.conftest import another_replica
from tests.privacy.troupe import (
    Actor,
    Partner,
    Troupe,
    a_manifest,
    ask,
    completed,
    dpo,
    evidence,
    open_steps,
    refused,
    state,
)
from tests.stand import Stand

Lie = Callable[[Actor, Erase, Troupe], Awaitable[None]]


def kept(rule: str, rows: int = 1, *, days: float | None = 3650) -> dict[str, Any]:
    until = None if days is None else (clock.now() + timedelta(days=days)).isoformat()
    return {"kept": [{"rule": rule, "rows": rows, "until": until}]}


def shows(*, outcome: str = "erased", **tables: Any) -> Lie:
    """The service's own answer, about the right person, with this evidence."""

    async def lie(actor: Actor, command: Erase, _: Troupe) -> None:
        erasure_id = command.subjects[0].erasure_id
        await actor.acknowledge(command, subjects=[evidence(erasure_id, outcome=outcome, **tables)])

    return lie


def claims(**changes: Any) -> Lie:
    """The service's own answer, signed, with other values."""

    async def lie(actor: Actor, command: Erase, _: Troupe) -> None:
        await actor.acknowledge(command, **changes)

    return lie


async def with_a_table_left_out(actor: Actor, command: Erase, _: Troupe) -> None:
    shown = evidence(command.subjects[0].erasure_id)
    del shown["tables"]["invoice"]
    await actor.acknowledge(command, subjects=[shown])


async def about_nobody_of_that_position(actor: Actor, command: Erase, _: Troupe) -> None:
    await actor.acknowledge(command, subjects=[evidence(new_id())])


async def about_the_person_and_somebody_else(actor: Actor, command: Erase, _: Troupe) -> None:
    mine = evidence(command.subjects[0].erasure_id)
    await actor.acknowledge(command, subjects=[mine, evidence(new_id())])


async def twice_the_same_person(actor: Actor, command: Erase, _: Troupe) -> None:
    erasure_id = command.subjects[0].erasure_id
    nothing = evidence(erasure_id, outcome="nothing_held", profile={})
    await actor.acknowledge(command, subjects=[evidence(erasure_id), nothing])


async def changed_after_signing(actor: Actor, command: Erase, _: Troupe) -> None:
    changed = evidence(command.subjects[0].erasure_id, profile={"deleted": 2})
    await actor.swear(actor.statement(command), subjects=[changed])


async def unsigned(actor: Actor, command: Erase, _: Troupe) -> None:
    await actor.swear(actor.statement(command), signature="..")


async def signed_with_another_service_s_key(actor: Actor, command: Erase, all_: Troupe) -> None:
    await actor.swear(actor.statement(command), key=all_["notifications"].key)


async def sent_by_another_service(actor: Actor, command: Erase, all_: Troupe) -> None:
    await all_["notifications"].swear(actor.statement(command), key=actor.key)


async def given_by_another_service_in_its_own_name(
    actor: Actor, command: Erase, all_: Troupe
) -> None:
    other = all_["notifications"]
    await other.swear(actor.statement(command))


async def by_a_service_that_nobody_registered(actor: Actor, command: Erase, _: Troupe) -> None:
    await actor.swear(actor.statement(command, participant="inventory"))


async def without_saying_who_speaks(actor: Actor, command: Erase, all_: Troupe) -> None:
    body = {
        "id": str(new_id()),
        "source": "/services/directory",
        "type": ErasureAcknowledged.event_type(),
        "subject": str(command.broadcast_id),
        "time": "2026-11-23T00:00:00Z",
        "data": actor.statement(command, signature=".."),
    }
    await actor.publish(json.dumps(body).encode(), "erasure_acknowledged", anonymous=True)


async def in_the_partner_s_form(actor: Actor, command: Erase, _: Troupe) -> None:
    word = {"erasure_id": str(command.subjects[0].erasure_id), "outcome": "erased"}
    data = {"position": command.position, "entry_hash": command.entry_hash, "subjects": [word]}
    await actor.put(PartnerAcknowledged.event_type(), command.entry_hash, data)


LIES: list[tuple[Lie, str]] = [
    (sent_by_another_service, "foreign-sender"),
    (given_by_another_service_in_its_own_name, "foreign-sender"),
    (without_saying_who_speaks, "foreign-sender"),
    (by_a_service_that_nobody_registered, "stranger"),
    (in_the_partner_s_form, "stranger"),
    (unsigned, "bad-signature"),
    (changed_after_signing, "bad-signature"),
    (signed_with_another_service_s_key, "bad-signature"),
    (claims(manifest_hash="0" * 64), "unknown-manifest"),
    (claims(entry_hash="0" * 64), "another-entry"),
    (claims(position=10**6), "unknown-position"),
    (with_a_table_left_out, "incomplete-evidence"),
    (shows(payroll={}), "incomplete-evidence"),
    (shows(commune={}), "incomplete-evidence"),
    (shows(outcome="nothing_held"), "outcome-against-counts"),
    (shows(profile={}), "outcome-against-counts"),
    (shows(outcome="kept_under_hold"), "outcome-against-counts"),
    (shows(invoice=kept("accounting")), "outcome-against-counts"),
    (shows(outcome="waived"), "outcome-against-counts"),
    (shows(outcome="kept_under_hold", invoice=kept("because-we-can")), "undeclared-hold"),
    (shows(outcome="kept_under_hold", profile=kept("accounting")), "undeclared-hold"),
    (shows(invoice=kept("because-we-can", rows=0)), "undeclared-hold"),
    (shows(outcome="kept_under_hold", invoice=kept("accounting", days=None)), "held-too-long"),
    (shows(outcome="kept_under_hold", invoice=kept("accounting", days=3655)), "held-too-long"),
    (shows(profile={"detached": 1}), "undeclared-fate"),
    (shows(invoice={"deleted": 1}), "undeclared-fate"),
    (shows(invoice={"detached": 1}), "undeclared-fate"),
    (about_nobody_of_that_position, "somebody-else"),
    (about_the_person_and_somebody_else, "somebody-else"),
    (twice_the_same_person, "somebody-else"),
]


@pytest.mark.parametrize(
    ("lie", "cause"), LIES, ids=[f"{index}-{cause}" for index, (_, cause) in enumerate(LIES)]
)
async def test_an_answer_that_proves_nothing_closes_nothing_and_is_shown(
    privacy: Stand, troupe: Troupe, lie: Lie, cause: str
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        position = 10**6 if cause == "unknown-position" else command.position
        await lie(directory, command, troupe)
        refusal = await refused(privacy, cause, position=position)
        liar = (
            "notifications"
            if lie in (sent_by_another_service, given_by_another_service_in_its_own_name)
            else "directory"
        )
        expected = None if lie is without_saying_who_speaks else f"{privacy.vhost}-{liar}"
        assert refusal["sender"] == expected
        assert "directory" in open_steps(await state(privacy, erasure_id))
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)


async def test_an_answer_given_twice_counts_once(privacy: Stand, troupe: Troupe) -> None:
    with troupe.silent("directory", "notifications") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        await directory.acknowledge(command)
        nothing = evidence(erasure_id, outcome="nothing_held", profile={})
        for _ in range(3):
            await directory.acknowledge(command, subjects=[nothing])
        await troupe["notifications"].acknowledge(
            await troupe["notifications"].commanded(erasure_id)
        )
    await completed(privacy, erasure_id)
    steps = {s["participant"]: s for s in (await state(privacy, erasure_id))["steps"]}
    assert steps["directory"]["outcome"] == "erased"
    assert steps["directory"]["counts"] == {"deleted": 1, "detached": 0, "kept": 0}
    assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1


async def test_rows_kept_under_a_declared_hold_are_told_with_their_text(
    privacy: Stand, troupe: Troupe
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        shown = evidence(erasure_id, outcome="kept_under_hold", invoice=kept("accounting", 3))
        await directory.acknowledge(command, subjects=[shown])
    await completed(privacy, erasure_id)
    answer = await privacy.client.get(
        f"/api/privacy/certificates/{erasure_id}",
        headers=dpo(privacy),
    )
    by_participant = {k["participant"]: k for k in answer.json()["certificate"]["kept"]}
    assert by_participant["directory"]["rows"] == 3
    assert by_participant["directory"]["source"] == "Code de commerce, art. L123-22"
    assert {k["rule"] for k in answer.json()["certificate"]["kept"]} >= {"erasure-proof"}


async def test_tables_with_digits_in_their_names_are_proven_like_any_other(
    privacy: Stand, troupe: Troupe
) -> None:
    named, manifest = ("letter_2026", "a4_page", "_2"), a_manifest("directory")
    for table in named:
        manifest["tables"][table] = manifest["tables"]["profile"]
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        await directory.announce(manifest)
        shown = evidence(erasure_id, **{table: {"deleted": 2} for table in named})
        await directory.acknowledge(command, manifest_hash=digest(manifest), subjects=[shown])
    await completed(privacy, erasure_id)
    await directory.announce()
    steps = {s["participant"]: s for s in (await state(privacy, erasure_id))["steps"]}
    assert steps["directory"]["counts"] == {"deleted": 7, "detached": 0, "kept": 0}


async def test_a_manifest_in_another_service_s_name_is_refused(
    privacy: Stand, troupe: Troupe
) -> None:
    forged = {**a_manifest("directory"), "tables": {}}
    await troupe["notifications"].announce(forged, participant="directory")
    await refused(privacy, "foreign-sender")
    assert not await privacy.rows("SELECT 1 FROM manifest WHERE manifest = $1", json.dumps(forged))


async def test_a_manifest_under_a_hash_that_is_not_its_own_is_refused(
    privacy: Stand, troupe: Troupe
) -> None:
    await troupe["directory"].announce(manifest_hash="1" * 64)
    await refused(privacy, "another-hash")
    assert not await privacy.rows("SELECT 1 FROM manifest WHERE manifest_hash = $1", "1" * 64)


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"service": "directory"},
        {"service": "directory", "tables": []},
        {"service": "directory", "tables": {"profile": {}}},
        {"service": "directory", "tables": {"profile": {"subjects": {"id": {}}, "columns": {}}}},
        {"service": "directory", "tables": {"profile": {"subjects": {}, "columns": {"a": {}}}}},
        a_manifest("notifications"),
    ],
    ids=range(7),
)
async def test_a_manifest_that_describes_nothing_breaks_neither_notice_nor_certificates(
    privacy: Stand, troupe: Troupe, manifest: dict[str, Any]
) -> None:
    count = "SELECT coalesce(sum(times), 0) FROM refusal WHERE cause = 'malformed-manifest'"
    [since] = (await privacy.rows(count))[0]
    await troupe["directory"].announce(manifest, manifest_hash=digest(manifest))
    await privacy.eventually(f"SELECT ({count}) > $1", since)
    assert (await privacy.client.get("/api/privacy/notice")).status_code == 200
    await completed(privacy, await ask(privacy))


async def test_a_certificate_tells_the_text_under_which_rows_were_kept_whatever_came_after(
    privacy: Stand, troupe: Troupe
) -> None:
    with troupe.silent("directory", "notifications") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        shown = evidence(erasure_id, outcome="kept_under_hold", invoice=kept("accounting"))
        await directory.acknowledge(command, subjects=[shown])
        newer = a_manifest("directory")
        newer["tables"]["invoice"]["subjects"]["person_id"]["hold"]["rule"] = "tax"
        await directory.announce(newer)
        await privacy.eventually(
            "SELECT count(*) FROM manifest WHERE manifest_hash = $1", digest(newer)
        )
        other = troupe["notifications"]
        await other.acknowledge(await other.commanded(erasure_id))
    await completed(privacy, erasure_id)
    await directory.announce()
    answer = await privacy.client.get(
        f"/api/privacy/certificates/{erasure_id}", headers=dpo(privacy)
    )
    sources = {one["rule"]: one["source"] for one in answer.json()["certificate"]["kept"]}
    assert sources["accounting"] == "Code de commerce, art. L123-22"


async def test_a_partner_s_word_counts_for_itself_alone(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await partner.next_command()
        own = {"erasure_id": str(erasure_id), "outcome": "erased"}
        for subjects, changes, cause in (
            ([{**own, "outcome": "waived"}], {}, "outcome-not-its-own"),
            ([own, {**own, "erasure_id": str(new_id())}], {}, "somebody-else"),
            ([own], {"entry_hash": "0" * 64}, "another-entry"),
            ([own], {"position": 10**6}, "unknown-position"),
        ):
            await partner.give_word(command, *subjects, **changes)
            position = changes.get("position", command.position)
            await refused(privacy, cause, position=position, sender=partner.user)
        service_form = directory.statement(command, signature="..")
        for name in ("directory", partner.name):
            await partner.put(
                ErasureAcknowledged.event_type(),
                str(command.broadcast_id),
                {**service_form, "participant": name},
            )
        await refused(privacy, "foreign-sender", position=command.position)
        await refused(privacy, "stranger", position=command.position)
        assert open_steps(await state(privacy, erasure_id)) == [partner.name, "directory"]
        await partner.give_word(command)
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)


HOSTILE: list[dict[str, Any]] = [
    {"data": {"position": 2**63}},
    {"data": {"position": 10**400}},
    {"subject": "nul\x00"},
    {"type": "nul\x00"},
    {"source": "nul\x00"},
    {"subject": "x" * 100_000},
    {"subject": {"not": "a text"}},
    {"type": ErasureAcknowledged.event_type()},
    {"type": "fr.ccibusiness.privacy.manifest_announced.v1", "data": {"participant": "x\x00"}},
    {"data": []},
    {"id": "1"},
]


@pytest.mark.parametrize("change", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_partner_cannot_hold_up_the_answers_of_others(
    privacy: Stand, troupe: Troupe, partner: Partner, change: dict[str, Any]
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await partner.next_command()
        # In the place where the honest answers about this broadcast are ordered.
        data = {
            "position": command.position,
            "entry_hash": command.entry_hash,
            "subjects": [{"erasure_id": str(erasure_id), "outcome": "erased"}],
        }
        if isinstance(change.get("data"), dict):
            change = {"data": {**data, **change["data"]}}
        await partner.put(PartnerAcknowledged.event_type(), str(command.broadcast_id), data, change)
        await partner.publish(b"\xff{", "erasure_acknowledged")
        await directory.acknowledge(command)
        await partner.give_word(command)
        await completed(privacy, erasure_id)


async def test_a_partner_cannot_have_somebody_erased(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    person = new_id()
    wish = {
        "account_id": str(person),
        "erasure_id": str(new_id()),
        "requested_at": "2026-11-23T00:00:00Z",
    }
    await partner.put(AccountLocked.event_type(), str(person), wish)
    for _ in range(2):
        erasure_id = await ask(privacy)
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)
        # As when privacy starts again: what was parked and is known by now is taken up.
        async with another_replica(privacy):
            pass
    assert not await privacy.rows("SELECT 1 FROM erasure WHERE subject_id = $1", person)
