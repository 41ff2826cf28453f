"""`ccib doctor`: what is wrong with a platform, in plain words. Made for when half of it is dead."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2
import typer

from cli.console import REFUSED, UNREACHABLE, AsJson, err, out, tell
from cli.doctor import broker, databases, doors, machine, sources
from cli.doctor.findings import Finding, Weight, attention, notice
from cli.doctor.sources import Sources
from cli.platform import LOCAL_STACK, SERVICES, Stack

T = TypeVar("T")


@dataclass(kw_only=True)
class Report:
    """Everything that was found, and what was looked at."""

    findings: list[Finding] = field(default_factory=list)
    looked_at: Counter[str] = field(default_factory=Counter)
    """What answered, by kind: services, broker, databases."""


def doctor(stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Say what is wrong with the platform and what to do, the worst first.

    Looks at every service (alive, ready, clock), the gateway, the broker (alarms, queues without
    reader, dead letters), the databases (outbox, inbox, erasures, manifests, schema, ledger) and, for
    a local stack, processes and disks. Changes nothing, needs no account, works when half is dead.

    For a platform that is no local stack set what you know of: CCIB_URL, CCIB_SERVICE_URLS (JSON:
    service to inside address), CCIB_OPERATIONS_URLS (the same, of their metrics), CCIB_BROKER_ADMIN_URL, CCIB_DATABASE_URL_<SERVICE>, CCIB_LEDGER_URL.

    Exit code 0: healthy (notices are no illness). 1: something is wrong. 2: the description of the
    stack cannot be read. 3: nothing answers at all.
    """
    found = sources.find(stack)
    with err.status("looking at services, broker and databases"):
        report = asyncio.run(examine(found))
    worst_first = sorted(report.findings, key=lambda one: (one.weight, one.where, one.what))
    ill = [one for one in worst_first if one.weight is not Weight.NOTICE]
    if as_json:
        tell(
            {
                "healthy": not ill,
                "findings": [one.as_data() for one in worst_first],
                "answered": dict(report.looked_at),
            }
        )
    else:
        _show(worst_first, report)
    if not report.looked_at.total():
        raise typer.Exit(UNREACHABLE)
    if ill:
        raise typer.Exit(REFUSED)


async def examine(found: Sources) -> Report:
    """Look at everything at once; what fails to be looked at is a finding itself."""
    report = Report()
    running: dict[str, str | None] = {}
    ledger = await _guarded(report, "ledger copy", databases.positions(found.ledger)) or []

    async def look_at_service(client: httpx2.AsyncClient, name: str, url: str) -> None:
        told = await _guarded(report, name, doors.service(client, name, url, found))
        if told:
            report.findings += told.findings
            report.looked_at["services"] += told.answers
            running[name] = told.manifest

    async def look_at_database(name: str, url: str) -> databases.Read | None:
        read = await _guarded(report, name, databases.examine(name, url, ledger, found))
        if read:
            report.findings += read.findings
            report.looked_at["databases"] += read.answers
        return read

    async with httpx2.AsyncClient(timeout=5) as client, asyncio.TaskGroup() as together:
        asked_broker = together.create_task(_broker(found, report))
        asked = {
            name: together.create_task(look_at_database(name, url))
            for name, url in found.databases.items()
        }
        for name, url in found.services.items():
            together.create_task(look_at_service(client, name, url))
        together.create_task(_gateway(client, found, report))
        together.create_task(_keys(client, found, report))
    heard = asked_broker.result()
    privacy = asked["privacy"].result() if "privacy" in asked else None
    report.findings += machine.processes(found) + machine.disks(found)
    if privacy and privacy.answers:
        report.findings += databases.compare_manifests(privacy.manifests, running)
        if heard and heard.partner_queues is not None:
            report.findings += _places(privacy.partners, heard.partner_queues)
    report.findings += _unknown(found)
    return report


async def _guarded(report: Report, where: str, look: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(20):
            return await look
    except Exception as error:  # noqa: BLE001 - the doctor goes on whatever is ill
        report.findings.append(
            attention(
                where,
                f"could not be examined ({type(error).__name__}: {error})",
                "what was found elsewhere may say why",
            )
        )
        return None


async def _broker(found: Sources, report: Report) -> broker.Heard | None:
    if not found.management:
        return None
    heard = await _guarded(report, "broker", broker.examine(found))
    if heard:
        report.findings += heard.findings
        report.looked_at["broker"] += heard.answers
    return heard


async def _gateway(client: httpx2.AsyncClient, found: Sources, report: Report) -> None:
    if found.gateway:
        report.findings += (
            await _guarded(report, "gateway", doors.gateway(client, found.gateway)) or []
        )


async def _keys(client: httpx2.AsyncClient, found: Sources, report: Report) -> None:
    report.findings += await _guarded(report, "keys", machine.keys(client, found)) or []


def _places(partners: list[str], queues: set[str]) -> list[Finding]:
    """Partners and their queues belong together."""
    return [
        attention(
            f"partner {name}",
            "it takes part and has no queue on the broker",
            f"ccib participants rotate {name} makes its place again; "
            f"ccib participants remove {name} lets it go",
        )
        for name in partners
        if name not in queues
    ] + [
        notice(
            f"partner {name}",
            "it has a queue on the broker and does not take part",
            f"ccib participants remove {name}",
        )
        for name in sorted(queues - set(partners))
    ]


def _unknown(found: Sources) -> list[Finding]:
    unknown = [
        name
        for name, known in (
            ("services (CCIB_SERVICE_URLS)", found.services),
            ("broker (CCIB_BROKER_ADMIN_URL)", found.management),
            ("databases (CCIB_DATABASE_URL_<SERVICE>)", len(found.databases) == len(SERVICES)),
            ("ledger copy (CCIB_LEDGER_URL)", found.ledger),
        )
        if not known
    ]
    return [
        notice("doctor", f"not looked at: {name}", "say where it is in the environment")
        for name in unknown
    ]


def _show(findings: list[Finding], report: Report) -> None:
    count = Counter(one.weight for one in findings)
    if not report.looked_at.total():
        out.print("Nothing answers: no service, no broker, no database.")
    elif not (count[Weight.BROKEN] or count[Weight.ATTENTION]):
        counts = sorted(report.looked_at.items())  # they answer in any order
        answered = ", ".join(f"{number} {kind}" for kind, number in counts)
        out.print(f"Healthy: {answered} answered.")
    else:
        out.print(f"{count[Weight.BROKEN]} broken, {count[Weight.ATTENTION]} need attention.")
    for one in findings:
        out.print(
            f"\n{one.weight.name:<9} {one.where}: {one.what}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        out.print(f"          -> {one.do}", markup=False, highlight=False, soft_wrap=True)
