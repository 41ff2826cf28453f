"""Forgetting people, set by set, from the catalogue - and the evidence that it happened.

The foreign keys to `data_subject.live_id` are the proof: once `erased_at` is set, PostgreSQL refuses
to keep a row that still names the person, so a forgotten table or a discarded DELETE fails the
transaction instead of passing for success.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from joserfc.jwk import ECKey
from prometheus_client import Gauge
from pydantic import BaseModel
from sqlalchemy import any_, event, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from chassis import clock, crash, erasure_rows, live_schema, outbox, subjects
from chassis.catalogue import Catalogue
from chassis.db import violated_constraint
from chassis.erasure_rows import Tallies, Tally
from chassis.evidence import digest, sign
from chassis.storage import Storage
from chassis.tables import applied, data_subject
from contracts.privacy import (
    Erase,
    ErasureAcknowledged,
    ManifestAnnounced,
    Outcome,
    SubjectEvidence,
    TableEvidence,
)

_announced = Gauge("manifest_announced", "The manifest that this process runs", ["service", "hash"])

_PATIENT, _IMPATIENT = "5s", "200ms"
_ONE_AT_A_TIME = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('applied ' || CAST(:position AS bigint), 0))"
)


class ForgedCommandError(Exception):
    """A known position came with another entry: not what the ledger holds."""


class RowsLeftError(Exception):
    """A row still names the person: its table was forgotten, or something discards statements."""


class FilesLeftError(Exception):
    """The storage still has files that it was told to delete; it keeps versions, or does not listen."""


class TombstoneRefusedError(Exception):
    """The database did not set the tombstones; something discards or undoes statements."""


class _Evidence(BaseModel):
    """What is kept of an applied command, to answer it again."""

    manifest_hash: str
    subjects: tuple[SubjectEvidence, ...]


_Told = dict[str, Any]
"""The same as plain data, as it travels: made once, for it takes time."""


SharedRule = Callable[[AsyncSession, Sequence[UUID], Tallies], Awaitable[None]]
"""Decides about rows that several people own; counts what it did in the tallies."""


@dataclass(frozen=True, kw_only=True)
class Eraser:
    """How one service forgets: its catalogue, its rules for shared rows, its files, its key."""

    catalogue: Catalogue
    storage: Storage
    key: ECKey
    rules: Mapping[str, SharedRule] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    """The hashes of the manifests that this process has published."""

    def manifest(self, facts: Sequence[live_schema.Fact]) -> dict[str, Any]:
        """What this service declares, together with the hash of its live schema."""
        return {**self.catalogue.describe(), "schema_hash": live_schema.fingerprint(facts)}


async def announce(session: AsyncSession, eraser: Eraser) -> str:
    """Check the live schema and publish the manifest; returns its hash.

    Raises `live_schema.SchemaMismatchError`: a service that cannot say what it holds does not start.
    """
    facts = await live_schema.read(session)
    live_schema.compare(eraser.catalogue, facts)
    await live_schema.holds_nothing(session, eraser.catalogue, facts)
    return _announce(session, eraser, eraser.manifest(facts))


def _announce(session: AsyncSession, eraser: Eraser, manifest: dict[str, Any]) -> str:
    statement = {
        "participant": eraser.catalogue.service,
        "manifest_hash": digest(manifest),
        "manifest": manifest,
    }
    announced = ManifestAnnounced(**statement, signature=sign(statement, eraser.key))
    outbox.publish(session, announced)
    _announced.labels(eraser.catalogue.service, announced.manifest_hash).set(1)

    def known(_: object) -> None:
        eraser.announced.add(announced.manifest_hash)

    event.listen(session.sync_session, "after_commit", known, once=True)
    return announced.manifest_hash


async def apply(session: AsyncSession, command: Erase, eraser: Eraser) -> Exception | None:
    """Forget the people of a command and acknowledge it, in the session's transaction.

    A repeated command is answered again from what was recorded. When only some of the people can be
    forgotten now, they are, and they alone are acknowledged; returns what stood in the way of the
    others, for whom the command must come again. Raises what stands in the way of everybody,
    `live_schema.SchemaMismatchError` when the running database holds something undeclared, and
    `ForgedCommandError` for another entry at a known position; none of them acknowledges anything.
    """
    facts = await live_schema.read(session)
    live_schema.compare(eraser.catalogue, facts)
    await live_schema.holds_nothing(session, eraser.catalogue, facts)
    manifest = eraser.manifest(facts)
    # It may come over the bus and from the ledger copy at once: the second finds what the first did.
    await session.execute(_ONE_AT_A_TIME, {"position": command.position})
    evidence, trouble = await _recorded(session, command), None
    fresh = evidence is None
    if evidence is None:
        tallies, trouble = await _erase_together_or_each(session, command, eraser)
        shown: _Shown = {}
        evidence = {
            # Told with it for ever: under the manifest of a later release it would look incomplete.
            "manifest_hash": digest(manifest),
            "subjects": [
                _subject(subject.erasure_id, tallies[subject.subject_id], shown)
                for subject in command.subjects
                if subject.subject_id in tallies
            ],
        }
    if fresh and trouble is None:
        await session.execute(
            insert(applied).values(
                position=command.position,
                entry_hash=command.entry_hash,
                broadcast_id=command.broadcast_id,
                applied_at=clock.now(),
                evidence=evidence,
            )
        )
    if eraser.announced and digest(manifest) not in eraser.announced:
        # A migration ran since: evidence under a manifest that privacy does not have proves nothing.
        _announce(session, eraser, manifest)
    outbox.publish(session, _acknowledgement(command, evidence, eraser))
    return trouble


async def _erase_together_or_each(
    session: AsyncSession, command: Erase, eraser: Eraser
) -> tuple[Tallies, Exception | None]:
    """One person's trouble stays their own; returns it with what was done for the others."""
    people = sorted({subject.subject_id for subject in command.subjects})
    try:
        async with outbox.savepoint(session):
            return await erase(session, people, eraser), None
    except Exception as error:
        if len(people) == 1:
            raise
        trouble = error
    done: Tallies = {}
    for person in people:
        try:
            async with outbox.savepoint(session):
                done |= await erase(session, [person], eraser, patience=_IMPATIENT)
        except Exception as error:  # noqa: BLE001 - told to the caller, who must try again
            trouble = error
    if not done:
        raise trouble
    return done, trouble if len(done) < len(people) else None


async def erase(
    session: AsyncSession, people: Sequence[UUID], eraser: Eraser, *, patience: str = _PATIENT
) -> Tallies:
    """Delete, detach and count everything about these people, and set their tombstones.

    `patience`: how long to wait for each lock that somebody holds, as PostgreSQL writes it.
    Raises `RowsLeftError` with the constraint that stands in the way when a row that names one of
    them is left, `FilesLeftError` when a file of theirs is, and `TombstoneRefusedError` when the
    tombstones do not stay.
    """
    await session.execute(text(f"SET LOCAL lock_timeout = '{patience}'"))
    # Separate statements on purpose: each sees what was committed before the locks were granted.
    await subjects.ensure(session, *people)
    await session.execute(
        select(data_subject.c.id)
        .where(data_subject.c.id == _any(people))
        .order_by(data_subject.c.id)
        .with_for_update()
    )
    crash.point("erasure.after_locks")
    try:
        tallies = await _empty(session, people, eraser)
        await session.execute(
            update(data_subject)
            .where(data_subject.c.id == _any(people))
            .values(erased_at=text("coalesce(data_subject.erased_at, now())"))
        )
    except IntegrityError as error:
        raise RowsLeftError(violated_constraint(error)) from error
    # Looked at afterwards: what a statement returns is not what a trigger may have made of it.
    marked = await session.scalars(
        select(data_subject.c.id).where(
            data_subject.c.id == _any(people),
            data_subject.c.erased_at.is_not(None),
            data_subject.c.live_id.is_(None),
        )
    )
    if set(marked) != set(people):
        raise TombstoneRefusedError
    return tallies


async def _empty(session: AsyncSession, people: Sequence[UUID], eraser: Eraser) -> Tallies:
    """Take away the rows, then the files; the people are locked."""
    tables = eraser.catalogue.tables()
    tallies: Tallies = {person: {table: Tally() for table in tables} for person in people}
    now = clock.now()
    for name in sorted({e.declared.rule for e in eraser.catalogue.subjects if e.declared.rule}):
        await eraser.rules[name](session, people, tallies)
    files: list[str] = []
    for wave in erasure_rows.waves(eraser.catalogue):
        await erasure_rows.fall(session, wave, people=people, tallies=tallies, files=files, now=now)
    crash.point("erasure.after_rows")
    await eraser.storage.delete(*files)
    # Looked at afterwards, like the tombstones: a storage may say yes and do nothing.
    if left := await eraser.storage.holds(*files):
        raise FilesLeftError(f"{len(left)} of {len(files)}")
    crash.point("erasure.after_files")
    return tallies


def _any(people: Sequence[UUID]) -> Any:
    return any_(literal(list(people), ARRAY(Uuid)))


async def _recorded(session: AsyncSession, command: Erase) -> _Told | None:
    row = (
        await session.execute(
            select(applied.c.entry_hash, applied.c.evidence).where(
                applied.c.position == command.position
            )
        )
    ).one_or_none()
    if row is None:
        return None
    if row.entry_hash != command.entry_hash:
        raise ForgedCommandError(f"position {command.position}")
    # With what a later release has added to evidence: whoever verifies the signature adds it, too.
    return _Evidence.model_validate(row.evidence).model_dump(mode="json")


_Shown = dict[tuple[Any, ...], _Told]
"""By counts: most people have the same in most tables, and making it anew for each takes time."""


def _subject(erasure_id: UUID, tallies: Mapping[str, Tally], shown: _Shown) -> _Told:
    if any(kept.rows for tally in tallies.values() for kept in tally.kept):
        outcome = Outcome.KEPT_UNDER_HOLD
    elif any(tally.held_something for tally in tallies.values()):
        outcome = Outcome.ERASED
    else:
        outcome = Outcome.NOTHING_HELD
    tables = {table: _table(tally, shown) for table, tally in tallies.items()}
    return {"erasure_id": str(erasure_id), "outcome": outcome.value, "tables": tables}


def _table(tally: Tally, shown: _Shown) -> _Told:
    counts = (tally.deleted, tally.detached, *tally.kept)
    if counts not in shown:
        shown[counts] = TableEvidence(
            deleted=tally.deleted, detached=tally.detached, kept=tuple(tally.kept)
        ).model_dump(mode="json")
    return shown[counts]


def _acknowledgement(command: Erase, evidence: _Told, eraser: Eraser) -> ErasureAcknowledged:
    statement = {
        "broadcast_id": str(command.broadcast_id),
        "position": command.position,
        "entry_hash": command.entry_hash,
        "participant": eraser.catalogue.service,
        **evidence,
    }
    return ErasureAcknowledged.model_validate(
        {**statement, "signature": sign(statement, eraser.key)}
    )
