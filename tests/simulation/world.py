"""The five services as they are, with real databases; only the broker between them is simulated.

Nothing runs by itself: relay, consumers, retries, jobs and gates are the real ones, called one at a
time by whoever drives the world. A process dies where a crash point raises `Died`, which nothing in
it catches; what it held is gone, its transaction was not committed, and it starts again.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
from fastapi import FastAPI

from chassis import (
    clock,
    commands,
    inbox,
    jobs,
    relay,
    retries,
    service,
    topology,
)
from chassis.auth import Role
from chassis.client_credentials import ClientCredentials
from chassis.errors import ReconcilingError
from chassis.ids import new_id
from chassis.service import Job, Runtime, Service, open_runtime
from contracts.privacy import Erase, PartnerAcknowledged
from deploy.local.layout import Layout
from services.consultations.wiring import SERVICE as CONSULTATIONS
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.credentials import AUDIENCES, TokenKeys, access_claims
from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from services.privacy.actions import participants
from services.privacy.wiring import SERVICE as PRIVACY
from tests.restore import world as backups
from tests.simulation.bus import Broker, Line, Message

WIRED = {one.name: one for one in (IDENTITY, DIRECTORY, CONSULTATIONS, NOTIFICATIONS, PRIVACY)}
ISSUER = "http://platform.example"
PREFIX = "sim-"
PARTNER = "partner"


class Died(BaseException):
    """The process was killed here. No `Exception`: nobody recovers from that."""


class Armed:
    """Stands for `chassis.crash.point`: dies at the n-th point that is passed."""

    def __init__(self) -> None:
        self.left, self.counting = 0, False
        self.at: str | None = None
        """Or at this point, wherever it comes."""
        self.passed: dict[str, int] = {}
        self.died: dict[str, int] = {}

    def arm(self, passage: int) -> None:
        """Die at the n-th point from now; 0: nowhere."""
        self.left, self.counting = passage, passage > 0

    def point(self, name: str) -> None:
        self.passed[name] = self.passed.get(name, 0) + 1
        self.left -= self.left > 0
        if name == self.at or (self.left == 0 and self.counting):
            self.at, self.counting = None, False
            self.died[name] = self.died.get(name, 0) + 1
            raise Died(name)


@dataclass(kw_only=True)
class Process:
    """One service: its settings, its application, and the runtime of its present life."""

    wired: Service
    settings: Any
    app: FastAPI
    http: httpx2.AsyncClient
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    line: AsyncExitStack = field(default_factory=AsyncExitStack)
    connection: asyncpg.Connection | None = None
    """The relay's, once it has one."""
    eye: asyncpg.Connection | None = None
    """Of whoever looks from outside."""

    @property
    def runtime(self) -> Runtime:
        found: Runtime = self.app.state.runtime
        return found

    @property
    def admin_url(self) -> str:
        """The service's database, for the server's administrator: here the service is one."""
        return str(self.settings.database_url)


@dataclass(kw_only=True)
class World:
    """The platform, one call at a time."""

    processes: dict[str, Process]
    broker: Broker
    keys: TokenKeys
    layout: Layout
    armed: Armed
    ledger: Path
    spoken: list[str] = field(default_factory=list)
    """Promises that the bus was seen to break."""
    partner_active: bool = True
    copies: dict[str, list[str]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    """Services whose databases may have changed since somebody last looked."""

    # --- life and death

    async def start(self, name: str) -> None:
        process = self.processes[name]
        wired = process.wired
        runtime = await process.stack.enter_async_context(open_runtime(wired, process.settings))
        process.app.state.runtime = runtime
        runtime.http = process.http
        runtime.credentials = ClientCredentials(
            http=process.http,
            identity_url="http://identity",
            client_id=name,
            secret_file=process.settings.secrets_dir / "client_secret",
        )

    async def stop(self, name: str) -> None:
        process = self.processes[name]
        process.connection = None
        await process.line.aclose()
        await process.stack.aclose()

    @asynccontextmanager
    async def living(self, name: str, *, dies: int = 0) -> AsyncIterator[None]:
        """Inside, the process does something; with `dies` it is killed at that crash point."""
        self.armed.arm(dies)
        self.touched |= {name, "identity"}  # which privacy and others ask
        killed = False
        try:
            yield
        except Died:
            killed = True
        except BaseExceptionGroup as several:
            if several.subgroup(Died) is None:
                raise
            killed = True
        finally:
            self.armed.arm(0)
        if killed:
            await self.stop(name)
            await self.start(name)

    # --- what a process does

    async def relay(self, name: str, *, dies: int = 0) -> int:
        """One round of the service's relay."""
        process = self.processes[name]
        async with self.living(name, dies=dies):
            try:
                if process.connection is None or process.connection.is_closed():
                    process.connection = await process.line.enter_async_context(
                        relay._connection(process.runtime.db)
                    )
                worker = relay._Relay(
                    process.runtime.db,
                    process.connection,
                    Line(self.broker, PREFIX + name),  # type: ignore[arg-type]
                    asyncio.Event(),
                    careful=False,
                )
                return (await worker._batch())[0]
            except relay._LOST:
                process.connection = None
                await process.line.aclose()
        return 0

    async def deliver(self, queue: str, *places: int, dies: int = 0, keep: bool = False) -> None:
        """Hand over messages of a queue; `keep`: the broker does not hear that they are done."""
        name, _, kind = queue.partition(".")
        if kind not in ("events", "acks", "erasure"):
            self._to_partner(queue, *places, keep=keep)
            return
        process = self.processes[name]
        runtime = process.runtime
        source = self.broker.hand_over(queue, list(places), keep=keep)
        async with self.living(name, dies=dies):
            try:
                await runtime.gate.passed()
            except ReconcilingError:
                return  # it takes nothing from the queue that it could finish
            if kind == "erasure":
                for message in await source.take(100, runtime.stop):
                    await commands._carry_out(
                        message,  # type: ignore[arg-type]
                        source,  # type: ignore[arg-type]
                        queue,
                        lambda envelope, delivery: service._forget(runtime, envelope, delivery),
                        runtime.stop,
                    )
            else:
                table = runtime.service.handlers if kind == "events" else runtime.service.answers
                consumer = inbox._Consumer(
                    runtime.db, queue, inbox.table_of(table), runtime.stop, None
                )
                consumer._settle = self._once(consumer)  # type: ignore[method-assign]
                await consumer.work(source)  # type: ignore[arg-type]

    @staticmethod
    def _once(consumer: Any) -> Any:
        """Try a batch once where the consumer would wait for its database."""

        async def settle(batch: Any, work: Any, source: Any) -> int:
            try:
                return int(await work(batch))
            except Exception as error:
                if not inbox.is_outage(error):
                    raise
                return 0

        return settle

    def _to_partner(self, queue: str, *places: int, keep: bool) -> None:
        """An honest partner: it forgets, and says so."""
        held = self.broker.queues.get(queue, [])
        for message in list(dict.fromkeys(held[place % len(held)] for place in places if held)):
            body = json.loads(message.body)
            if body["type"] == Erase.event_type():
                self._partner_answers(Erase.model_validate(body["data"]))
            if not keep:
                held.remove(message)

    def _partner_answers(self, command: Erase) -> None:
        said = [{"erasure_id": str(s.erasure_id), "outcome": "erased"} for s in command.subjects]
        self.broker.publish(
            "ccib.acks",
            PartnerAcknowledged.routing_key(),
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": str(new_id()),
                    "source": f"/partners/{PARTNER}",
                    "type": PartnerAcknowledged.event_type(),
                    "subject": command.entry_hash,
                    "time": clock.now().isoformat(),
                    "data": {
                        "position": command.position,
                        "entry_hash": command.entry_hash,
                        "subjects": said,
                    },
                }
            ).encode(),
            user=f"{PREFIX}ext-{PARTNER}",
        )

    async def retry(self, name: str, *, dies: int = 0) -> None:
        """Whatever waits in the inbox and is due."""
        runtime = self.processes[name].runtime
        table = inbox.table_of({**runtime.service.handlers, **runtime.service.answers})
        async with self.living(name, dies=dies):
            try:
                while await retries._retry_next(runtime.db, table, runtime.stop):
                    pass
            except (ReconcilingError, OSError):
                pass

    async def job(self, name: str, job: str, *, dies: int = 0) -> None:
        """One run of a job, as the clock would start it. What it raises is logged there too."""
        runtime = self.processes[name].runtime
        [found] = [one for one in runtime.service.jobs if one.name == job]
        async with self.living(name, dies=dies):
            await _quietly(runtime, found)

    async def reconcile(self, name: str, *, dies: int = 0) -> None:
        """What the loops of the gate do: look again, and open it if it may be."""
        runtime = self.processes[name].runtime
        async with self.living(name, dies=dies):
            if runtime.gate.reason is None:
                await runtime.gate._compare(runtime.db, forget=True)
            if runtime.gate.reason is not None:
                await runtime.gate.try_to_open()
            if runtime.gate.reason is None and not runtime.started.is_set():
                await service._begin(runtime)

    # --- faults

    async def back_up(self, name: str) -> None:
        await self._leave(name)
        self.copies.setdefault(name, []).append(await backups.back_up(self.processes[name]))  # type: ignore[arg-type]

    async def restore(self, name: str) -> None:
        """The latest backup takes the place of the database, behind the running process."""
        await self._leave(name)
        await backups.restore(self.processes[name], self.copies[name].pop())  # type: ignore[arg-type]

    async def _leave(self, name: str) -> None:
        self.touched.add(name)
        process = self.processes[name]
        if process.eye is not None:
            await process.eye.close()
            process.eye = None

    async def set_partner(self, *, active: bool) -> None:
        """The operator lets the partner go, or admits it again; nothing while privacy is away."""
        runtime = self.processes["privacy"].runtime
        self.touched.add("privacy")
        try:
            async with runtime.db.transaction() as session:
                if active:
                    await participants.admit_partner(
                        session,
                        name=PARTNER,
                        contact="rgpd@partenaire.example",
                        deadline_days=30,
                        broker_prefix=PREFIX,
                    )
                else:
                    await participants.dismiss_partner(session, name=PARTNER)
        except (ReconcilingError, OSError):
            return
        except Exception as error:
            if "ParticipantExists" not in type(error).__name__:
                raise
        queue = topology.partner_definitions(
            vhost="simulated", name=PARTNER, password="", prefix=PREFIX
        )
        self.broker.remove(queue["queues"][0]["name"])
        if active:
            self.broker.add(queue)
        self.partner_active = active

    async def hours_pass(self, minutes: int = 11) -> None:
        """Longer than anything waits before it asks again."""
        clock.rehearse(clock.rehearsed() + timedelta(minutes=minutes))
        for process in self.processes.values():
            process.runtime.credentials.forget()
            overdue = process.runtime.gate._overdue
            overdue.update(dict.fromkeys(overdue, float("-inf")))

    # --- looking

    async def rows(self, name: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows as they are in the database, whatever the process may show."""
        process = self.processes[name]
        if process.eye is None or process.eye.is_closed():
            process.eye = await asyncpg.connect(process.settings.database_url)
        found: list[asyncpg.Record] = await process.eye.fetch(sql, *arguments)
        return found

    def headers(
        self, person: UUID | None = None, *, roles: tuple[Role, ...] = (), scopes: tuple[str, ...] = (),
        session_id: UUID | None = None,
    ) -> dict[str, str]:  # fmt: skip
        claims = access_claims(
            issuer=ISSUER,
            subject=str(person or "some-client"),
            now=clock.now(),
            audiences=list(AUDIENCES),
            session_id=session_id or (new_id() if person else None),
            roles=[role.value for role in roles],
            scopes=list(scopes),
        )
        return {"Authorization": f"Bearer {self.keys.sign('at+jwt', claims)}"}

    async def call(
        self, name: str, method: str, path: str, *, dies: int = 0, **how: Any
    ) -> httpx2.Response | None:
        """A request at the service's door; None when the process died over it."""
        answer = None
        async with self.living(name, dies=dies):
            transport = httpx2.ASGITransport(self.processes[name].app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as client:
                answer = await client.request(method, path, **how)
        return answer

    def said(self, message: Message) -> None:
        """The moment at which a message is on the bus: its position must be in the copy by now."""
        if message.exchange != "ccib.commands":
            return
        command = json.loads(message.body)["data"]
        copy = self.ledger / f"{command['position']:012d}.json"
        if (
            not copy.exists()
            or json.loads(copy.read_bytes())["entry_hash"] != command["entry_hash"]
        ):
            self.spoken.append(f"position {command['position']} was broadcast without its copy")


async def _quietly(runtime: Runtime, job: Job) -> None:
    try:
        await jobs.once_among_replicas(runtime, job)
    except Exception:  # noqa: BLE001 - as `jobs.run_job` does
        pass
