"""Traces on the bus: continued by consumers and retries, and without what drivers repeat."""

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, tracing
from chassis.consuming import Delivery
from deploy.local.layout import REPOSITORY
from tests.bus import BusStand, Happened
from tests.collector import Collector, collecting

DONE = "SELECT count(*) = $1 FROM inbox WHERE state = 'done'"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
CANARY = "jeanne.canari@entreprise.example"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        told = SimpleNamespace(otlp_endpoint=running.url, otlp_sample=1.0)
        tracing.begin("toy", told)
        try:
            yield running
        finally:
            tracing.end()


async def test_a_retry_continues_the_trace_and_no_value_leaves(
    bus: BusStand, collector: Collector
) -> None:
    failures = [ValueError(CANARY)]

    async def fail_once(session: AsyncSession, _: Happened, __: Delivery) -> None:
        if failures:
            await session.execute(text("SELECT CAST(:word AS text)"), {"word": CANARY})
            raise failures.pop()

    handlers = {Happened: fail_once}
    running = [bus.relay(), bus.consumer(handlers), bus.retries(handlers)]
    with tracing.span("request", "POST", parent=None):
        async with bus.alpha.transaction() as session:
            outbox.publish(session, Happened(thing_id=uuid4(), number=7))
    await bus.until(DONE, 1)
    for one in running:
        await one.end()
    tracing.end()  # sends what it holds
    [request] = [one for one in collector.spans if one.kind == SERVER]
    trace = [one for one in collector.spans if one.trace_id == request.trace_id]
    handled = [one for one in trace if one.kind == CONSUMER]
    assert [one.parent for one in handled] == [request.id, request.id]
    assert {one.attributes["messaging.type"] for one in handled} == {Happened.event_type()}
    assert [one.name for one in trace if one.kind == PRODUCER] == [Happened.routing_key()]
    assert any("CAST" in one.attributes.get("db.statement", "") for one in trace)
    assert not [one for one in collector.spans if CANARY in one.text]
    # Polls, of which there were many meanwhile, begin no trace of their own.
    assert {one.trace_id for one in collector.spans} == {request.trace_id}


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    program = (
        "import sys, services.identity.main, web.main;"
        "print([name for name in sys.modules if name.startswith('opentelemetry.')"
        " and not name.startswith('opentelemetry.util')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "opentelemetry.sdk" not in done.stdout
    assert "opentelemetry.exporter" not in done.stdout
    assert "opentelemetry.instrumentation" not in done.stdout
