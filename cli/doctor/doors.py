"""What the services say of themselves: alive, ready, and their metrics; and the gateway."""

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx2

from chassis import clock
from cli.doctor.findings import Finding, ago, attention, broken
from cli.doctor.sources import Sources

CLOCK_S = 4.0
"""More than the second to which the header is cut, and the way here."""

_NOT_READY = {
    "starting": "wait a minute; if it stays so, its log says what it waits for",
    "database unreachable": "look at its PostgreSQL server, the network and the password; it goes on "
    "by itself when the database answers",
}
_MANIFEST = re.compile(
    r'^manifest_announced\{(?=[^}]*service="(\w+)")[^}]*hash="(\w+)"[^}]*\} 1', re.MULTILINE
)


@dataclass(kw_only=True)
class Told:
    """What one service says."""

    answers: bool = False
    manifest: str | None = None
    """Hash of the manifest that it runs."""
    findings: list[Finding] = field(default_factory=list)


async def service(client: httpx2.AsyncClient, name: str, url: str, sources: Sources) -> Told:
    """Whether a service lives, is ready, and keeps the time."""
    told = Told()
    log = f"{sources.logs / name}.log" if sources.logs else "its log"
    try:
        alive = await client.get(f"{url}/health/live")
        told.answers = alive.status_code == 200
    except httpx2.HTTPError as error:
        told.findings.append(
            broken(
                name,
                f"does not answer at {url} ({type(error).__name__})",
                f"its process is dead or hangs: read {log}, and start it again",
            )
        )
        return told
    told.findings += _clock(name, alive)
    ready = await client.get(f"{url}/health/ready")
    if ready.status_code != 200:
        reason = ready.text.strip()
        told.findings.append(
            broken(name, f"lives but is not ready: {reason}", _NOT_READY.get(reason, f"read {log}"))
        )
    if name in sources.operations:
        metrics = (await client.get(f"{sources.operations[name]}/metrics")).text
        running = _MANIFEST.findall(metrics)
        told.manifest = next((digest for of, digest in running if of == name), None)
    return told


async def gateway(client: httpx2.AsyncClient, url: str) -> list[Finding]:
    """Whether people reach the platform."""
    try:
        answer = await client.get(f"{url}/api/privacy/notice")
    except httpx2.HTTPError as error:
        return [
            broken(
                "gateway",
                f"does not answer at {url} ({type(error).__name__}): nobody reaches the platform",
                "start the gateway again; look whether another program has its port",
            )
        ]
    if answer.status_code >= 500:
        return [
            attention(
                "gateway",
                f"answers {answer.status_code} for privacy",
                "see what is said about privacy; if nothing, compare the gateway's addresses",
            )
        ]
    return []


def _clock(name: str, answer: httpx2.Response) -> list[Finding]:
    said = answer.headers.get("date")
    if said is None:
        return []
    off = (clock.now() - parsedate_to_datetime(said)).total_seconds()
    return wrong_clock(name, off, limit=CLOCK_S)


def wrong_clock(name: str, off: float, *, limit: float) -> list[Finding]:
    """A finding when that clock is so many seconds behind (or, negative, before) this one."""
    if abs(off) <= limit:
        return []
    side = "behind" if off > 0 else "ahead of"
    return [
        attention(
            name,
            f"its clock is {ago(abs(off))} {side} this machine's",
            "let a time service (NTP) set all clocks: deadlines and tokens depend on them",
        )
    ]
