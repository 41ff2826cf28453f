"""Mutants of the evidence: what a participant, or somebody in its place, might tell privacy.

Real manifests and acknowledgements of the five services, applied to the same broadcast, are bent and
given to privacy's own judgement, in its database. Everybody else has answered truly, so that one bent
answer is all that stands between this erasure and its certificate.
"""

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from joserfc.jwk import ECKey
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, erasure, outbox
from chassis.evidence import digest, import_key, sign
from chassis.ids import new_id
from contracts.privacy import (
    Erase,
    ErasureAcknowledged,
    ManifestAnnounced,
    Outcome,
    PartnerAcknowledged,
    Reason,
)
from services.privacy.actions import answers, broadcasts, certificates, participants
from services.privacy.models import Refusal
from tests.mutants.desk import Desk, published
from tests.mutants.kinds import Catch, Caught, Mutant, Result, changed
from tests.privacy import test_answers

PARTNER = "partner"
SILENT = "silence"
KEY_ABSENT = "participant whose key was not deployed"
Data = dict[str, Any]
Lie = Callable[["Court"], Any]


@dataclass(kw_only=True)
class Court:
    """Privacy before a broadcast that nobody has answered, with what everybody would truly answer."""

    session: AsyncSession
    keys: Mapping[str, ECKey]
    certifying: ECKey
    erasure_id: UUID
    command: Erase
    manifests: dict[str, Data]
    truth: dict[str, Data]
    """By service; without signature."""

    async def tell(
        self, statement: Data, *, key: str | None = None, sender: str | None = "", **after: Any
    ) -> None:
        """Give privacy a statement: of whom it names, signed and sent by them unless told otherwise."""
        name = statement["participant"]
        signature = sign(statement, self.keys[key or name]) if key != "nobody" else ".."
        told = {**statement, "signature": signature, **after}
        await answers.acknowledge(
            self.session,
            ErasureAcknowledged.model_validate(told),
            sender=name if sender == "" else sender,
            statement=told,
        )

    async def tell_as_partner(self, *subjects: Data, sender: str = PARTNER, **changes: Any) -> None:
        """Give privacy a partner's word."""
        data = {
            "position": self.command.position,
            "entry_hash": self.command.entry_hash,
            "subjects": subjects or [{"erasure_id": str(self.erasure_id), "outcome": "erased"}],
            **changes,
        }
        answer = PartnerAcknowledged.model_validate(data)
        await answers.acknowledge_as_partner(self.session, answer, sender=sender)

    async def certified(self) -> int:
        """Let privacy certify what it takes for proven; how many erasures that is."""
        return await certificates.complete(
            self.session, key=self.certifying, issuer="mutants", backup_days=1, log_days=1
        )

    async def manifests_known(self) -> int:
        """How many manifests privacy believes in."""
        return int(await self.session.scalar(text("SELECT count(*) FROM manifest")) or 0)

    async def steps_closed(self) -> int:
        """How many participants privacy takes for done."""
        closed = text("SELECT count(*) FROM step WHERE erasure_id = :id AND outcome IS NOT NULL")
        return int(await self.session.scalar(closed, {"id": self.erasure_id}) or 0)

    async def refusals_shown(self) -> int:
        """How many answers the DPO is told about."""
        return int(await self.session.scalar(text("SELECT sum(times) FROM refusal")) or 0)

    async def verdict(self) -> Caught | None:
        """Whether the certificate is withheld, and why."""
        if await self.certified():
            return None
        cause = await self.session.scalar(
            select(col(Refusal.cause)).order_by(col(Refusal.refused_at).desc()).limit(1)
        )
        return Caught(Catch.JUDGEMENT, cause or "the step stays open")


@asynccontextmanager
async def court(desks: Mapping[str, Desk]) -> AsyncIterator[Court]:
    """A broadcast about one person who is in every service; undone afterwards."""
    privacy = desks["privacy"]
    keys = {name: desk.eraser.key for name, desk in desks.items()}
    keys[PARTNER] = import_key(ECKey.generate_key("P-256").as_pem(private=True))
    for desk in desks.values():
        await desk.put_files()
    async with privacy.trial("DELETE FROM refusal") as session:
        await participants.trust_services(
            session,
            keys={name: keys[name].as_dict(private=False) for name in desks},
            broker_prefix="",
        )
        await participants.admit_partner(
            session, name=PARTNER, contact="a@b.example", deadline_days=30, broker_prefix=""
        )
        await session.execute(
            text(
                "UPDATE participant SET active = name = ANY(:names),"
                " broker_user = CASE WHEN name = ANY(:names) THEN name ELSE broker_user END"
            ),
            {"names": [*keys]},
        )
        command = await _broadcast(session, privacy.person)
        found = Court(
            session=session,
            keys=keys,
            certifying=privacy.eraser.key,
            erasure_id=command.subjects[0].erasure_id,
            command=command,
            manifests={},
            truth={},
        )
        for name, desk in desks.items():
            async with _speaking(desk, session) as speaking:
                await erasure.announce(speaking, desk.eraser)
                await erasure.apply(speaking, command, desk.eraser)
                said = published(speaking)
            [announced] = [one for one in said if isinstance(one, ManifestAnnounced)]
            [answer] = [one for one in said if isinstance(one, ErasureAcknowledged)]
            told = announced.model_dump(mode="json")
            await answers.announce_manifest(session, announced, sender=name, statement=told)
            found.manifests[name] = told["manifest"]
            found.truth[name] = answer.model_dump(mode="json", exclude={"signature"})
        yield found


@asynccontextmanager
async def _speaking(desk: Desk, session: AsyncSession) -> AsyncIterator[AsyncSession]:
    """A session of that service, undone; privacy's own is the court's."""
    if desk.name != "privacy":
        async with desk.trial() as own:
            yield own
        return
    async with session.begin_nested() as point:
        yield session
        await point.rollback()
    session.info.pop(outbox._PENDING, None)


async def _broadcast(session: AsyncSession, person: UUID) -> Erase:
    """The wish, the reserved position and the command, by privacy's own hand."""
    # What stands for other people's erasures would be broadcast, too.
    await session.execute(text("UPDATE erasure SET completed_at = now(), certificate = 'x'"))
    await broadcasts.request_erasure(
        session,
        erasure_id=new_id(),
        subject_id=person,
        reason=Reason.SELF_SERVICE,
        requested_at=clock.now(),
    )
    await session.flush()
    batch = [one for one in await broadcasts.waiting(session) if one.subject_id == person]
    broadcast = await broadcasts.reserve(session, batch=batch, sealed={})
    await session.execute(
        text("UPDATE participant SET registered_at = registered_at - interval '1 day'")
    )
    await session.execute(text("UPDATE broadcast SET sent_at = now()"))
    return Erase.model_validate({**broadcast.entry, "entry_hash": broadcast.entry_hash})


def lies(court: Court, service: str) -> Iterator[tuple[str, str, Lie]]:
    """Every bent answer of one service: kind, target, and the lie."""
    truth, manifest = court.truth[service], court.manifests[service]

    def bent(bend: Callable[[Data], Any]) -> Lie:
        said = copy.deepcopy(truth)
        bend(said)
        return lambda it: it.tell(said)

    def of(said: Data) -> Data:
        tables: Data = said["subjects"][0]["tables"]
        return tables

    declared = {name: t["subjects"].values() for name, t in manifest["tables"].items()}
    for name in of(truth):
        fates = {subject["fate"] for subject in declared[name]}
        yield "table not shown", name, bent(lambda it, n=name: of(it).pop(n))
        yield (
            "hold not declared",
            name,
            bent(
                lambda it, n=name: of(it)[n]["kept"].append(
                    {"rule": "mutant", "rows": 1, "until": None}
                )
            ),
        )
        for count, fate in (("deleted", "delete"), ("detached", "detach")):
            if not fates & {fate, "shared"}:
                yield (
                    f"rows {count} against the declaration",
                    name,
                    bent(lambda it, n=name, c=count: of(it)[n].update({c: 1})),
                )
        for number, kept in enumerate(of(truth)[name]["kept"]):
            for kind, until in (
                ("kept for ever", None),
                ("kept too long", (clock.now() + timedelta(days=100_000)).isoformat()),
            ):
                yield (
                    kind,
                    f"{name} {kept['rule']}",
                    bent(
                        lambda it, n=name, i=number, u=until: of(it)[n]["kept"][i].update(until=u)
                    ),
                )
        if not declared[name]:
            continue
    nothing = {"deleted": 0, "detached": 0, "kept": []}
    yield "table that nobody declared", "mutant", bent(lambda it: of(it).update(mutant=nothing))
    yield (
        "counts of nothing",
        "all tables",
        bent(lambda it: it["subjects"][0].update(tables=dict.fromkeys(of(it), nothing))),
    )
    for outcome in set(Outcome) - {Outcome(truth["subjects"][0]["outcome"])}:
        yield (
            "outcome against the counts",
            outcome,
            bent(lambda it, o=outcome: it["subjects"][0].update(outcome=o.value)),
        )
    unknown, partner = {**truth, "participant": "mutant"}, {**truth, "participant": PARTNER}
    yield "in a name that nobody knows", "mutant", lambda it: it.tell(unknown, key=service)
    yield "in a partner's name", PARTNER, lambda it: it.tell(partner, sender=service)
    yield "another entry", "entry_hash", bent(lambda it: it.update(entry_hash="0" * 64))
    yield "another position", "position", bent(lambda it: it.update(position=10**9))
    yield "unknown manifest", "manifest_hash", bent(lambda it: it.update(manifest_hash="0" * 64))
    yield (
        "somebody else",
        "erasure_id",
        bent(lambda it: it["subjects"][0].update(erasure_id=str(new_id()))),
    )
    yield (
        "somebody else, too",
        "erasure_id",
        bent(lambda it: it["subjects"].append({**it["subjects"][0], "erasure_id": str(new_id())})),
    )
    yield (
        "the same person twice",
        "erasure_id",
        bent(lambda it: it["subjects"].append(it["subjects"][0])),
    )
    yield "not signed", "signature", lambda it: it.tell(truth, key="nobody")
    after = {"subjects": [{**truth["subjects"][0], "outcome": "nothing_held"}]}
    yield "changed after signing", "subjects", lambda it: it.tell(truth, **after)
    yield "without saying who speaks", "sender", lambda it: it.tell(truth, sender=None)
    yield SILENT, service, lambda it: None
    for other in (*court.truth, PARTNER):
        if other != service:
            yield "signed by somebody else", other, lambda it, o=other: it.tell(truth, key=o)
            yield "sent by somebody else", other, lambda it, o=other: it.tell(truth, sender=o)
            if other != PARTNER:
                theirs = digest(court.manifests[other])
                yield (
                    "manifest of somebody else",
                    other,
                    bent(lambda it, h=theirs: it.update(manifest_hash=h)),
                )
    yield "a partner's word", "subjects", lambda it: it.tell_as_partner(sender=service)


def lies_of_a_partner(court: Court) -> Iterator[tuple[str, str, Lie]]:
    """Every bent answer of a partner system."""
    word = {"erasure_id": str(court.erasure_id), "outcome": "erased"}
    yield SILENT, PARTNER, lambda it: None
    waived = {**word, "outcome": "waived"}
    yield "waived by itself", "outcome", lambda it: it.tell_as_partner(waived)
    other = {**word, "erasure_id": str(new_id())}
    yield "somebody else", "erasure_id", lambda it: it.tell_as_partner(other)
    yield "somebody else, too", "erasure_id", lambda it: it.tell_as_partner(word, other)
    yield "the same person twice", "erasure_id", lambda it: it.tell_as_partner(word, word)
    yield "another entry", "entry_hash", lambda it: it.tell_as_partner(entry_hash="0" * 64)
    yield "another position", "position", lambda it: it.tell_as_partner(position=10**9)
    for service in court.truth:
        yield "sent by somebody else", service, lambda it, s=service: it.tell_as_partner(sender=s)
    yield "sent by nobody known", "stranger", lambda it: it.tell_as_partner(sender="stranger")


def manifests_that_lie(court: Court) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Announcements that must not become what evidence is judged by."""

    def announced(name: str, manifest: Data, **changes: Any) -> Callable[[], Any]:
        said = {
            "participant": name,
            "manifest_hash": digest(manifest),
            "manifest": manifest,
            **changes,
        }
        told = {**said, "signature": sign(said, court.keys["directory"])}
        return lambda: answers.announce_manifest(
            court.session,
            ManifestAnnounced.model_validate(told),
            sender="directory",
            statement=told,
        )

    small = {"service": "directory", "schema_hash": "0", "tables": {}}
    yield "a manifest under another hash", announced("directory", small, manifest_hash="1" * 64)
    yield "a manifest that describes nothing", announced("directory", {"tables": 1})
    yield "a manifest of somebody else", announced("directory", {**small, "service": "identity"})
    yield "a manifest in another name", announced("identity", {**small, "service": "identity"})


@asynccontextmanager
async def all_but(court: Court, silent: str | None) -> AsyncIterator[None]:
    """Everybody else has answered truly inside the block."""
    async with court.session.begin_nested() as point:
        for name, truth in court.truth.items():
            if name != silent:
                await court.tell(truth)
        if silent != PARTNER:
            await court.tell_as_partner()
        yield
        await point.rollback()


async def try_lie(court: Court, lie: Lie) -> Caught | None:
    """What privacy makes of it; undone."""
    async with court.session.begin_nested() as point:
        if (telling := lie(court)) is not None:
            await telling
        caught = await court.verdict()
        await point.rollback()
    return caught


async def run(court: Court) -> list[Result]:
    """Let everybody lie in turn."""
    found = []
    async with all_but(court, None):
        alarm = await court.verdict()
        assert alarm is None, f"a false alarm, though everybody has answered truly: {alarm}"
    for name in (*court.truth, PARTNER):
        told = lies_of_a_partner(court) if name == PARTNER else lies(court, name)
        async with all_but(court, name):
            for kind, target, lie in told:
                caught = await try_lie(court, lie)
                mutant = Mutant(f"evidence: {kind}", name, target)
                found.append(Result(mutant, caught, test(mutant, caught)))
    return found


def skipped(court: Court) -> Iterator[tuple[str, str]]:
    """Where a participant can be left out, and which."""
    for name in (*court.truth, PARTNER):
        yield "participant not asked", name
        yield "participant left out of the certificate", name
        if name != PARTNER:
            yield "service left out of the broadcast", name
            yield KEY_ABSENT, name


async def run_skipped(court: Court) -> list[Result]:
    """Leave each participant out, everybody else having answered truly."""
    found = []
    for kind, name in skipped(court):
        silent = None if "certificate" in kind else name
        async with all_but(court, silent):
            caught = await _skip(court, kind, name)
        test = "tests/mutants/test_participants.py::test_nobody_is_left_out_of_a_proof"
        found.append(Result(Mutant(kind, name, "participant"), caught, test))
    return found


async def _skip(court: Court, kind: str, name: str) -> Caught | None:
    session = court.session
    steps = certificates._steps

    async def fewer(session: AsyncSession, ids: Any) -> Any:
        return {
            one: [part for part in parts if part.step.participant != name]
            for one, parts in (await steps(session, ids)).items()
        }

    if kind == KEY_ABSENT:
        keys = {one: court.keys[one].as_dict(private=False) for one in court.truth if one != name}
        try:
            await participants.trust_services(session, keys=keys, broker_prefix="")
        except participants.MissingKeyError as error:
            return Caught(Catch.START, str(error))
        return None
    if "certificate" in kind:
        try:
            with changed(certificates, "_steps", fewer):
                return await court.verdict()
        except certificates.IncompleteProofError as error:
            return Caught(Catch.JUDGEMENT, type(error).__name__)
    await session.execute(
        text("DELETE FROM step WHERE participant = :name AND position = :position"),
        {"name": name, "position": court.command.position},
    )
    if "broadcast" in kind:  # the entry of the ledger does not name it either
        await session.execute(
            text(
                "UPDATE broadcast SET entry = jsonb_set(entry, '{participants}',"
                " (entry -> 'participants') - CAST(:name AS text)) WHERE position = :position"
            ),
            {"name": name, "position": court.command.position},
        )
    return await court.verdict()


TESTS = {
    "the step stays open": "tests/privacy/test_protocol.py"
    "::test_who_stays_silent_is_asked_again_less_and_less_often_and_never_taken_for_done",
    "outcome-not-its-own": "tests/privacy/test_answers.py"
    "::test_a_partner_s_word_counts_for_itself_alone",
}


def test(mutant: Mutant, caught: Caught | None) -> str:
    """The test that goes red when privacy no longer refuses this."""
    cause = caught.words if caught else ""
    if cause in TESTS:
        return TESTS[cause]
    number = next((n for n, (_, one) in enumerate(test_answers.LIES) if one == cause), "?")
    return (
        "tests/privacy/test_answers.py"
        "::test_an_answer_that_proves_nothing_closes_nothing_and_is_shown"
        f"[{number}-{cause}]"
    )
