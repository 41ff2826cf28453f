"""What is measured, and that the page of metrics says so."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY, generate_latest

from chassis.ids import new_id
from chassis.sampling import run_sampling
from contracts.directory import CompanyUnlisted
from deploy.monitoring import metrics
from services.consultations.wiring import SERVICE
from services.identity.credentials import hash_password
from services.privacy.jobs.samples import SAMPLES
from services.privacy.wiring import SERVICE as PRIVACY
from tests.stand import Stand, standing

OWN = {"service": "consultations"}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def becomes_true(name: str, **labels: str) -> None:
    for _ in range(500):
        if value(name, **labels):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} {labels} stays 0")


@pytest.fixture(scope="module")
async def stand(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("metrics")
    async with standing(
        SERVICE, servers=servers, folder=folder, smtp_url="smtp://127.0.0.1:9"
    ) as running:
        yield running


def test_the_page_of_metrics_is_what_the_code_declares() -> None:
    written = metrics.PAGE.read_text(encoding="utf-8")
    assert written == metrics.page(), "write it again: python -m deploy.monitoring.metrics"


async def test_requests_are_counted_by_their_template(stand: Stand) -> None:
    route = {"method": "GET", "route": "/api/consultations/consultations/{id}"}
    before = value("ccib_http_requests_total", **OWN, **route, status="404")
    someone = str(new_id())
    assert (
        await stand.client.get(f"/api/consultations/consultations/{someone}")
    ).status_code == 404
    assert value("ccib_http_requests_total", **OWN, **route, status="404") == before + 1
    assert value("ccib_http_request_duration_seconds_count", **OWN, **route) >= 1
    await stand.client.request("BREW", f"/api/consultations/{someone}")
    text = generate_latest().decode()
    assert someone not in text
    assert "BREW" not in text
    assert value("ccib_http_requests_total", **OWN, method="other", route="unmatched", status="404")


async def test_handlers_jobs_the_pool_and_the_outbox_are_measured(stand: Stand) -> None:
    kind = {"type": CompanyUnlisted.event_type()}
    before = value("ccib_inbox_handler_duration_seconds_count", **OWN, **kind)
    event_id = await stand.say(CompanyUnlisted(company_id=new_id()))
    await stand.eventually("SELECT count(*) FROM inbox WHERE event_id = $1", event_id)
    assert value("ccib_inbox_handler_duration_seconds_count", **OWN, **kind) == before + 1
    assert value("ccib_database_pool_wait_seconds_count", **OWN) > 0
    assert value("ccib_database_pool_size", **OWN) == stand.settings.database_pool
    await becomes_true("ccib_job_last_success_timestamp_seconds", **OWN, job_name="prune")
    await becomes_true("ccib_sampled_timestamp_seconds", **OWN)
    async with stand.runtime.db.engine.connect():
        assert value("ccib_database_pool_in_use", **OWN) >= 1


async def test_an_outbox_that_nobody_empties_grows_old_in_the_metrics(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also without a broker, when no relay is there to say so."""
    folder = tmp_path_factory.mktemp("unsent")
    async with standing(
        PRIVACY, servers=servers, folder=folder, smtp_url="smtp://127.0.0.1:9", worker=False
    ) as privacy:
        await privacy.eventually("SELECT count(*) = 0 FROM outbox")
        await privacy.rows(
            "INSERT INTO outbox (event_id, aggregate, slot, exchange, routing_key, body, created_at,"
            " blocked_until) VALUES ($1, 'a', 0, 'x', 'y', '', now() - interval '90 s', 'infinity')",
            new_id(),
        )
        stop = asyncio.Event()
        sampling = asyncio.create_task(
            run_sampling(db=privacy.runtime.db, samples=SAMPLES, stop=stop)
        )
        await becomes_true("outbox_parked", service="privacy")
        assert value("outbox_parked", service="privacy") == 1
        assert 90 <= value("outbox_oldest_age_seconds", service="privacy") < 120
        stop.set()
        await sampling
    assert value("ccib_erasure_steps_open", kind="partner") == 0
    assert value("ccib_erasures_overdue") == 0


async def test_passwords_wait_for_their_turn_and_are_counted() -> None:
    before = value("ccib_argon2_wait_seconds_count")
    asked = [asyncio.create_task(hash_password("Sept-Péniches-Bleues-42")) for _ in range(4)]
    await asyncio.sleep(0)
    assert value("ccib_argon2_queue") == 2
    await asyncio.gather(*asked)
    assert value("ccib_argon2_wait_seconds_count") == before + 4
    assert value("ccib_argon2_queue") == 0
