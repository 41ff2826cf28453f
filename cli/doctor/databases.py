"""What the databases say: outbox and inbox, erasures, manifests, schema, clocks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncpg

from chassis import clock, migrations
from chassis.ledger import LedgerCopy
from chassis.migrations import Phase
from cli.doctor.doors import wrong_clock
from cli.doctor.findings import Finding, ago, attention, broken, counted, notice
from cli.doctor.sources import Sources

CLOCK_S = 3.0
OUTBOX_S = 30.0
"""Events leave within milliseconds while the broker is there."""
LEDGER_S = 60.0
STEP_S = 600.0
LAST_MESSAGE_S = 900.0
_GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_VERSIONS = Path(__file__).parents[2] / "services"


@dataclass(kw_only=True)
class Read:
    """What one database says."""

    answers: bool = False
    findings: list[Finding] = field(default_factory=list)
    manifests: dict[str, str] = field(default_factory=dict)
    """By service, the hash that privacy accepted last; privacy's database alone tells."""
    partners: list[str] = field(default_factory=list)
    """Partner systems that take part."""


async def examine(name: str, url: str, ledger: Sequence[int], sources: Sources) -> Read:
    """Look into a service's database; nothing is written."""
    read = Read()
    try:
        connection = await asyncpg.connect(url, timeout=4, command_timeout=10)
    except _GONE as error:
        read.findings.append(
            broken(
                name,
                f"its database does not let anybody in ({type(error).__name__})",
                "look at its PostgreSQL server, the network and the password",
            )
        )
        return read
    try:
        read.answers = True
        before = clock.now()
        said = await connection.fetchval("SELECT clock_timestamp()")
        off = (before + (clock.now() - before) / 2 - said).total_seconds()
        read.findings += wrong_clock(f"database of {name}", off, limit=CLOCK_S)
        read.findings += await _schema(connection, name)
        read.findings += await _outbox(connection, name)
        read.findings += await _inbox(connection, name)
        read.findings += await _applied(connection, name, ledger, sources)
        if name == "privacy":
            read.findings += await _erasures(connection)
            read.findings += await _ledger(connection, ledger)
            read.findings += await _refusals(connection)
            read.manifests = await _manifests(connection)
            read.partners = [
                row["name"]
                for row in await connection.fetch(
                    "SELECT name FROM participant WHERE active AND kind = 'partner'"
                )
            ]
    except asyncpg.UndefinedTableError as error:
        read.findings.append(
            broken(name, f"its database lacks tables ({error})", "run its migrations")
        )
    except _GONE as error:
        read.findings.append(
            broken(
                name,
                f"its database stopped answering ({type(error).__name__})",
                "look at its PostgreSQL server",
            )
        )
    finally:
        await connection.close(timeout=2)
    return read


async def positions(url: str) -> list[int]:
    """Every position of the ledger copy."""
    return await LedgerCopy(url).after(0) if url else []


def compare_manifests(
    accepted: Mapping[str, str], running: Mapping[str, str | None]
) -> list[Finding]:
    """Evidence under a manifest that privacy has not accepted closes no step."""
    return [
        broken(
            name,
            "it runs with a manifest that privacy does not have"
            if name in accepted
            else "privacy has no manifest of it",
            "its answers to erasures are refused: see whether its outbox is stuck; a restart "
            "announces the manifest again",
        )
        for name, manifest in running.items()
        if manifest is not None and accepted.get(name) != manifest
    ]


def newest_revision(service: str) -> str | None:
    """The revision that this checkout would migrate to; None where there is none."""
    names = [path.name for path in (_VERSIONS / service / "migrations/versions").glob("[0-9]*.py")]
    return max(names).partition("_")[0] if names else None


async def _schema(connection: asyncpg.Connection, name: str) -> list[Finding]:
    newest = newest_revision(name)
    there = await connection.fetchval("SELECT version_num FROM alembic_version")
    if newest is None or there == newest:
        return []
    if there is not None and there > newest:
        return [
            notice(
                name,
                f"its schema ({there}) is newer than this checkout ({newest})",
                "use the `ccib` of the release that runs",
            )
        ]
    phases = migrations.phases(_VERSIONS / name / "migrations")
    if there and all(phase is Phase.CONTRACT for one, phase in phases.items() if one > there):
        return [
            notice(
                name,
                f"its schema ({there}) still has what this release ({newest}) takes away",
                f"once no process of the release before runs: python -m services.{name}.migrations "
                "contract",
            )
        ]
    return [
        broken(
            name,
            f"its schema is {there or 'empty'}, this release needs {newest}",
            f"python -m services.{name}.migrations (`make run` does)",
        )
    ]


async def _outbox(connection: asyncpg.Connection, name: str) -> list[Finding]:
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE blocked_until = 'infinity') AS parked,
            count(*) FILTER (WHERE blocked_until IS DISTINCT FROM 'infinity') AS waiting,
            extract(epoch FROM clock_timestamp() - min(created_at)
                FILTER (WHERE blocked_until IS DISTINCT FROM 'infinity')) AS age,
            min(last_error) FILTER (WHERE blocked_until = 'infinity') AS error,
            min(routing_key) FILTER (WHERE blocked_until = 'infinity') AS routing_key
        FROM outbox
        """
    )
    found = []
    if row["parked"]:
        found.append(
            broken(
                name,
                f"{counted(row['parked'], 'event is', 'events are')} parked in its outbox: the broker "
                f"cannot route {row['routing_key']} ({row['error']}), and later events about the same "
                "wait behind",
                f"mend the topology, then ccib dead-letters release --service {name}",
            )
        )
    if row["waiting"] and row["age"] > OUTBOX_S:
        found.append(
            broken(
                name,
                f"{counted(row['waiting'], 'event waits', 'events wait')} in its outbox, the oldest "
                f"for {ago(float(row['age']))}",
                "see what is said about the broker; if nothing, start the service's relay again",
            )
        )
    return found


async def _inbox(connection: asyncpg.Connection, name: str) -> list[Finding]:
    rows = await connection.fetch(
        """
        SELECT state, type, reason, count(*) AS count,
            extract(epoch FROM clock_timestamp() - min(received_at)) AS age
        FROM inbox WHERE state IN ('dead', 'parked', 'waiting') GROUP BY state, type, reason
        ORDER BY count(*) DESC
        """
    )
    found = []
    for state, word, do in (
        ("dead", "failed at every try", f"ccib dead-letters list --service {name}"),
        (
            "parked",
            "of a kind that this release does not know",
            f"deploy the release that knows it, or ccib dead-letters list --service {name}",
        ),
    ):
        group = [row for row in rows if row["state"] == state]
        if group:
            total = sum(row["count"] for row in group)
            worst = group[0]
            found.append(
                attention(
                    name,
                    f"{counted(total, 'event', 'events')} {word}; most: "
                    f"{worst['type'] or 'unreadable'}, {worst['reason']} ({worst['count']:,})",
                    do,
                )
            )
    waiting = [row for row in rows if row["state"] == "waiting" and row["age"] > 60]
    if waiting:
        total = sum(row["count"] for row in waiting)
        found.append(
            attention(
                name,
                f"{counted(total, 'event is', 'events are')} tried again since "
                f"{ago(float(max(row['age'] for row in waiting)))}: {waiting[0]['reason']}",
                "its log says why (event_failed); after the last try they become dead letters",
            )
        )
    return found


async def _applied(
    connection: asyncpg.Connection, name: str, ledger: Sequence[int], sources: Sources
) -> list[Finding]:
    missing = [
        row["position"]
        for row in await connection.fetch(
            "SELECT position FROM unnest($1::bigint[]) AS ledger (position)"
            " WHERE NOT EXISTS (SELECT FROM applied WHERE applied.position = ledger.position)"
            " ORDER BY position",
            list(ledger),
        )
    ]
    if not missing:
        return []
    age = await _age_of_entry(missing[0], sources)
    if age is not None and age < LEDGER_S:
        return []
    return [
        broken(
            name,
            f"it has not applied {len(missing):,} of {len(ledger):,} positions of the ledger, the "
            f"first is {missing[0]}" + (f", written {ago(age)} ago" if age is not None else ""),
            "its log says why it cannot erase (or it was restored and is catching up)",
        )
    ]


async def _age_of_entry(position: int, sources: Sources) -> float | None:
    entry = await LedgerCopy(sources.ledger).read(position)
    try:
        written = datetime.fromisoformat(json.loads(entry or b"")["entry"]["at"])
    except (ValueError, KeyError, TypeError):
        return None
    return (clock.now() - written).total_seconds()


async def _erasures(connection: asyncpg.Connection) -> list[Finding]:
    found = [
        (broken if row["late"] else attention)(
            row["participant"],
            f"it has not answered {counted(row['count'], 'erasure', 'erasures')}, the oldest for "
            f"{ago(float(row['age']))}"
            + (f"; {row['late']:,} are past their date" if row["late"] else ""),
            "a service: see what is said about it. A partner: ask it; the DPO may waive its part. "
            "ccib erasures list --open",
        )
        for row in await connection.fetch(
            """
            SELECT participant, count(*), count(*) FILTER (WHERE step.due_by < now()) AS late,
                extract(epoch FROM now() - min(sent_at)) AS age
            FROM step JOIN broadcast USING (position) WHERE outcome IS NULL
            GROUP BY participant HAVING extract(epoch FROM now() - min(sent_at)) > $1
            ORDER BY participant
            """,
            STEP_S,
        )
    ]
    unsent = await connection.fetchrow(
        """
        SELECT count(*), extract(epoch FROM now() - min(requested_at)) AS age FROM erasure
        LEFT JOIN broadcast USING (position) WHERE sent_at IS NULL AND completed_at IS NULL
        """
    )
    if unsent["count"] and unsent["age"] > STEP_S:
        found.append(
            broken(
                "privacy",
                f"{counted(unsent['count'], 'erasure is', 'erasures are')} not broadcast, the oldest "
                f"asked for {ago(float(unsent['age']))} ago",
                "its log says why: identity does not answer, or the ledger copy cannot be written",
            )
        )
    late = await connection.fetchrow(
        """
        SELECT count(*), max(attempts) AS attempts FROM last_message
        JOIN erasure USING (erasure_id)
        WHERE completed_at < now() - $1 * interval '1 second'
        """,
        LAST_MESSAGE_S,
    )
    if late["count"]:
        found.append(
            attention(
                "privacy",
                f"{counted(late['count'], 'person was', 'people were')} not told yet that they are "
                f"forgotten (up to {late['attempts']} tries)",
                "look at the mail server; what cannot be sent is destroyed at its date",
            )
        )
    return found


async def _ledger(connection: asyncpg.Connection, ledger: Sequence[int]) -> list[Finding]:
    sent = {
        row["position"]
        for row in await connection.fetch(
            "SELECT position FROM broadcast WHERE sent_at IS NOT NULL"
        )
    }
    found = []
    if lost := sorted(sent - set(ledger)):
        found.append(
            broken(
                "privacy",
                f"{counted(len(lost), 'position', 'positions')} of the ledger (from {lost[0]}) are not "
                "in its copy",
                "restore the copy, or write them again from privacy's database: a restored service "
                "would not know whom to forget",
            )
        )
    if ahead := sorted(set(ledger) - sent):
        newest = max(sent, default=0)
        if ahead[-1] > newest + 1:
            found.append(
                broken(
                    "privacy",
                    f"the ledger copy reaches position {ahead[-1]}, its database {newest}: it was "
                    "restored",
                    "nothing may be broadcast until the copy is reconciled: ccib restore-check",
                )
            )
    return found


async def _refusals(connection: asyncpg.Connection) -> list[Finding]:
    return [
        attention(
            "privacy",
            f"refused {counted(row['count'], 'answer', 'answers')} of {row['sender'] or 'nobody'} in "
            f"the last day: {row['cause']}",
            "a wrong key, an old manifest, or somebody who pretends: see GET /api/privacy/refusals",
        )
        for row in await connection.fetch(
            "SELECT sender, cause, count(*) FROM refusal WHERE refused_at > now() - interval '1 day'"
            " GROUP BY sender, cause ORDER BY count(*) DESC LIMIT 5"
        )
    ]


async def _manifests(connection: asyncpg.Connection) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT DISTINCT ON (participant) participant, manifest_hash FROM manifest"
        " ORDER BY participant, announced_at DESC"
    )
    return {row["participant"]: row["manifest_hash"] for row in rows}
