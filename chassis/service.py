"""A service as a whole: its wiring table, its runtime, its two entry points."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import structlog
import uvloop
from aio_pika.exceptions import AMQPError
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chassis import (
    access,
    crash,
    erasure,
    evidence,
    inbox,
    jobs,
    live_schema,
    log,
    observing,
    operations,
    relay,
    sampling,
    topology,
    tracing,
)
from chassis.auth import KeySource, RemoteKeys, TokenVerifier
from chassis.bus import wait_any
from chassis.catalogue import Catalogue, Personal
from chassis.client_credentials import ClientCredentials
from chassis.db import Database
from chassis.erasure import Eraser, SharedRule
from chassis.errors import ReconcilingError
from chassis.http import build_app
from chassis.inbox import Delivery, Handler
from chassis.ledger import Ledger, LedgerCopy, trusted_keys
from chassis.restore import Rebuild, Restoration
from chassis.sampling import Sample
from chassis.settings import Settings
from chassis.storage import Storage
from chassis.trust import authorities
from contracts.base import Envelope, Event
from contracts.privacy import Erase

logger = structlog.get_logger()

PATIENCE_S = 10.0
"""How long a process that is told to stop waits for what its loops hold; then it is cut, and done again."""
_FIRST_TRY_S = 5
"""How long a start waits for a restored database to be brought up; then it is up and not ready."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something the clock starts: at most one replica runs it at a time.

    `bell` wakes it before its time, when a transaction of this process rang it.
    """

    name: str
    every: timedelta
    run: Callable[["Runtime"], Awaitable[None]]
    bell: str | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """The wiring table of a service: one line per door."""

    name: str
    description: str
    catalogue: Catalogue
    routers: Sequence[APIRouter]
    handlers: Mapping[type[Event], Handler[Any]] = field(default_factory=dict)
    answers: Mapping[type[Event], Handler[Any]] = field(default_factory=dict)
    """Handlers of `ccib.acks`; privacy alone has some."""
    jobs: Sequence[Job] = ()
    samples: Sequence[Sample] = ()
    """Gauges of its own that need SQL."""
    rules: Mapping[str, SharedRule] = field(default_factory=dict)
    settings: type[Settings] = Settings
    body_limits: Mapping[str, int] = field(default_factory=dict)
    """Path prefix to bytes, where files come in."""
    prepare: Callable[["Runtime"], Awaitable[None]] | None = None
    """Runs once before the service is ready."""
    rebuild: Rebuild | None = None
    """Runs after a restore, before anything is forgotten again; privacy alone has one."""
    keys: Callable[[Settings], KeySource] | None = None
    """Where token keys come from, for the service that makes them."""


@dataclass(kw_only=True)
class Runtime:
    """What a running service holds on to."""

    service: Service
    settings: Any
    db: Database
    http: httpx2.AsyncClient
    credentials: ClientCredentials
    tokens: TokenVerifier
    storage: Storage
    ledger: LedgerCopy
    eraser: Eraser
    gate: Restoration
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    topology_checked: bool = False

    async def not_ready(self) -> str | None:
        """Why this process should get no traffic, or None."""
        if self.stop.is_set():
            return observing.STOPPING
        if self.gate.reason is not None:
            return self.gate.reason
        if not self.started.is_set():
            return observing.STARTING
        try:
            async with self.db.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except ReconcilingError:
            return "the database was another one a moment ago"
        except (OSError, SQLAlchemyError):
            return "database unreachable"
        return None

    def not_started(self) -> str | None:
        """Why the first beginning is not over. What the gate keeps closed no new start would open."""
        begun = self.started.is_set() or self.gate.reason is not None
        return None if begun else observing.STARTING


@asynccontextmanager
async def open_runtime(service: Service, settings: Settings) -> AsyncIterator[Runtime]:
    """Build the runtime, check schema and topology, forget again what a restore brought back.

    What cannot be forgotten at once keeps the process from being ready, not from running. Raises
    `live_schema.SchemaMismatchError` or `topology.TopologyError`: better not to start. A broker that
    is not there is no reason: the outbox keeps what it will be told.
    """
    async with httpx2.AsyncClient(
        timeout=5.0, verify=authorities(), event_hooks={"request": [tracing.passed_on]}
    ) as client:
        credentials = settings.storage_credentials()
        storage = Storage(settings.storage_url, credentials)
        ledger = LedgerCopy(settings.ledger_url, credentials)
        eraser = Eraser(
            catalogue=service.catalogue,
            storage=storage,
            key=evidence.load_key(settings.secrets_dir / "evidence.pem"),
            rules=service.rules,
        )
        gate = Restoration(
            url=settings.database_url,
            ledger=Ledger(ledger, keys=trusted_keys(settings.trust_dir)),
            eraser=eraser,
            rebuild=service.rebuild,
        )
        db = Database(
            settings.database_url, service=service.name, pool=settings.database_pool, gate=gate
        )
        source = (
            service.keys(settings)
            if service.keys
            else RemoteKeys(f"{settings.identity_url}/.well-known/jwks.json", client)
        )
        runtime = Runtime(
            service=service,
            settings=settings,
            db=db,
            http=client,
            credentials=ClientCredentials(
                http=client,
                identity_url=settings.identity_url,
                client_id=service.name,
                secret_file=settings.secrets_dir / "client_secret",
            ),
            tokens=TokenVerifier(issuer=settings.issuer, audience=service.name, source=source),
            storage=storage,
            ledger=ledger,
            eraser=eraser,
            gate=gate,
        )
        try:
            runtime.topology_checked = await _topology_is_right(runtime)
            async with gate.ungated() as ungated, ungated.transaction() as session:
                facts = await live_schema.read(session)
                live_schema.compare(service.catalogue, facts)
                await live_schema.holds_nothing(session, service.catalogue, facts)
            with contextlib.suppress(TimeoutError):  # what takes longer goes on beside it
                async with asyncio.timeout(_FIRST_TRY_S):
                    await gate.try_to_open()
            if gate.reason is None:
                with contextlib.suppress(ReconcilingError):  # later, when it is open again
                    await _begin(runtime)
            yield runtime
        finally:
            await db.dispose()


@asynccontextmanager
async def _observed(
    service: Service, settings: Settings
) -> AsyncIterator[tuple[Runtime, observing.Condition]]:
    """A runtime behind its probes, which answer from before it is built until after it has ended."""
    tracing.begin(service.name, settings)
    try:
        async with (
            observing.operations_port(settings) as condition,
            open_runtime(service, settings) as runtime,
        ):
            condition.not_ready, condition.not_started = runtime.not_ready, runtime.not_started
            yield runtime, condition
    finally:
        tracing.end()


def collect_rarely() -> None:
    """What is loaded by now stays. Looked through again after every 700 new objects, as Python does
    by itself, it took a third of the time in which evidence about 500 people was made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _begin(runtime: Runtime) -> None:
    """What a service does once it may use its database, before it is ready."""
    async with runtime.db.transaction() as session:
        await erasure.announce(session, runtime.eraser)
    crash.point("service.after_announce")
    if runtime.service.prepare:
        await runtime.service.prepare(runtime)
    runtime.started.set()


def create_app(service: Service, settings: Settings | None = None) -> FastAPI:
    """The HTTP application. It runs a relay, and with `run_worker` the consumers and jobs too."""
    configured = settings or service.settings.load()
    _configure_log(service, configured)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            _observed(service, configured) as (runtime, condition),
            AsyncExitStack() as stack,
        ):
            if settings is None:  # a process of its own, not one of several in somebody else's
                collect_rarely()
                stack.enter_context(observing.noticing_the_end(condition))
            app.state.runtime = runtime
            loops = _loops(runtime, worker=configured.run_worker)
            async with running(runtime, loops):
                yield

    app = build_app(
        name=service.name,
        description=service.description,
        max_body_bytes=configured.max_body_bytes,
        described=configured.api_docs,
        lifespan=lifespan,
    )
    app.state.body_limits = dict(service.body_limits)
    for router in (*service.routers, access.router):
        app.include_router(router)
    app.include_router(operations.router, prefix=f"/api/{service.name}")
    return app


def run_worker(service: Service) -> None:
    """The worker process: relay, consumers and jobs, until SIGTERM."""
    settings = service.settings.load()
    _configure_log(service, settings)
    uvloop.run(_work(service, settings))  # as uvicorn runs the API


def _configure_log(service: Service, settings: Settings) -> None:
    personal = {
        column.name for _, column, d in service.catalogue.columns() if isinstance(d, Personal)
    }
    log.configure(service=service.name, personal=personal, json=settings.log_format == "json")


async def _work(service: Service, settings: Settings) -> None:
    async with _observed(service, settings) as (runtime, _):
        collect_rarely()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, runtime.stop.set)
        async with running(runtime, _loops(runtime, worker=True)):
            await runtime.stop.wait()


@asynccontextmanager
async def running(runtime: Runtime, loops: Sequence[Awaitable[None]]) -> AsyncIterator[None]:
    """Run the loops beside the block; at its end let them finish what they hold, for a while."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_told)
    try:
        yield
    finally:
        runtime.stop.set()
        for bell in runtime.db.bells.values():
            bell.set()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE_S) if tasks else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loops(runtime: Runtime, *, worker: bool) -> list[Awaitable[None]]:
    doors = [_relay(runtime), *(_worker(runtime) if worker else [])]
    return [
        _check_topology_later(runtime),
        runtime.gate.run(db=runtime.db, stop=runtime.stop, forget=worker),
        _begin_later(runtime),
        *(_once_begun(runtime, door) for door in doors),
    ]


async def _begin_later(runtime: Runtime) -> None:
    """Begin as soon as the gate opens, where it did not at the start."""
    while not runtime.started.is_set() and not runtime.stop.is_set():
        await wait_any(runtime.gate.opened, runtime.stop)
        try:
            if not runtime.stop.is_set():
                await _begin(runtime)
        except (OSError, SQLAlchemyError, ReconcilingError) as error:
            logger.warning("begin_failed", error=type(error).__name__)
            await wait_any(runtime.stop, within=1)


async def _once_begun(runtime: Runtime, door: Coroutine[Any, Any, None]) -> None:
    try:
        await wait_any(runtime.started, runtime.stop)
        if runtime.started.is_set():
            await door
    finally:
        door.close()


def _told(task: "asyncio.Future[None]") -> None:
    """A process without one of its loops would look alive and do nothing: better to start again."""
    if not task.cancelled() and task.exception() is not None:
        logger.critical("loop_died", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


async def _topology_is_right(runtime: Runtime) -> bool:
    """Check the broker; False when it is not there. Raises `topology.TopologyError`."""
    try:
        await topology.check(runtime.settings.amqp_url, service=runtime.service.name)
    except (AMQPError, OSError, TimeoutError) as error:
        logger.warning("broker_unreachable", error=type(error).__name__)
        return False
    return True


async def _check_topology_later(runtime: Runtime) -> None:
    while not runtime.topology_checked and not runtime.stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runtime.stop.wait(), 2)
        runtime.topology_checked = await _topology_is_right(runtime)


def _relay(runtime: Runtime) -> Coroutine[Any, Any, None]:
    return relay.run_relay(db=runtime.db, amqp_url=runtime.settings.amqp_url, stop=runtime.stop)


def _worker(runtime: Runtime) -> list[Coroutine[Any, Any, None]]:
    service, settings = runtime.service, runtime.settings
    loops: list[Coroutine[Any, Any, None]] = [
        inbox.run_commands(
            amqp_url=settings.amqp_url,
            queue=f"{service.name}.erasure",
            handle=lambda envelope, delivery: _forget(runtime, envelope, delivery),
            stop=runtime.stop,
        ),
        *(jobs.run_job(runtime, job) for job in (*service.jobs, *_HOUSEKEEPING)),
        sampling.run_sampling(db=runtime.db, samples=service.samples, stop=runtime.stop),
    ]
    if service.handlers or service.answers:
        handlers = {**service.handlers, **service.answers}
        loops.append(inbox.run_retries(db=runtime.db, handlers=handlers, stop=runtime.stop))
    for queue, table in (("events", service.handlers), ("acks", service.answers)):
        if table:
            loops.append(
                inbox.run_consumer(
                    db=runtime.db,
                    amqp_url=settings.amqp_url,
                    queue=f"{service.name}.{queue}",
                    handlers=table,
                    stop=runtime.stop,
                )
            )
    return loops


async def _forget(runtime: Runtime, envelope: Envelope, delivery: Delivery) -> None:
    """Apply an erase command. Only privacy may give one, and the broker vouches for who speaks."""
    if delivery.sender != f"{runtime.settings.broker_prefix}privacy":
        logger.error("erase_command_from_stranger", sender=delivery.sender)
        return
    command = Erase.model_validate(envelope.data)
    with tracing.span("receive", "erase", parent=envelope.traceparent):
        async with runtime.db.transaction() as session:
            trouble = await erasure.apply(session, command, runtime.eraser)
    crash.point("service.after_erasure")
    if trouble is not None:
        raise trouble
    logger.info("erasure_applied", position=command.position, people=len(command.subjects))


_HOUSEKEEPING = (
    Job(name="prune", every=timedelta(hours=1), run=jobs.prune),
    Job(name="rehearse", every=timedelta(minutes=20), run=jobs.rehearse_by_night),
)
