"""The topology as data, and as RabbitMQ understands it."""

import json
from typing import Any

import aio_pika
import pytest

from chassis import topology
from chassis.bus import Outcome, Publisher
from chassis.topology import TopologyError
from contracts.base import Kind
from contracts.directory import MembershipGranted
from contracts.identity import AccountLocked, AccountOpened
from contracts.privacy import Erase, ErasureAcknowledged, ManifestAnnounced, PartnerAcknowledged
from tests.bus import BusStand, Happened, definitions_of

SERVICES = ("identity", "directory", "consultations", "privacy", "notifications")
PASSWORDS = {service: f"password of {service}" for service in SERVICES}


@pytest.fixture
def wanted() -> dict[str, Any]:
    return topology.definitions(
        vhost="/",
        passwords=PASSWORDS,
        consumes={"directory": [AccountOpened], "privacy": [AccountLocked, AccountOpened]},
        prefix="ccib-",
    )


@pytest.fixture
def partner() -> dict[str, Any]:
    return topology.partner_definitions(
        vhost="/", name="crm", password="p", facts=[MembershipGranted], prefix="ccib-"
    )


def test_every_queue_survives_what_a_newer_broker_changed(
    wanted: dict[str, Any], partner: dict[str, Any]
) -> None:
    """RabbitMQ 4.3: no transient shared queues, no lazy mode, limits and dead letters spelt out."""
    for queue in [*wanted["queues"], *partner["queues"]]:
        arguments = queue["arguments"]
        assert queue["durable"], queue
        assert not queue["auto_delete"], queue
        assert arguments["x-queue-type"] == "quorum", queue
        assert arguments["x-delivery-limit"] > 0, queue
        assert arguments.keys() <= {
            "x-queue-type",
            "x-delivery-limit",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-dead-letter-strategy",
            "x-overflow",
            "x-single-active-consumer",
        }, queue


def test_every_working_queue_has_dead_letters_that_cannot_be_lost(wanted: dict[str, Any]) -> None:
    queues = {queue["name"]: queue["arguments"] for queue in wanted["queues"]}
    bound = {
        (one["source"], one["routing_key"]): one["destination"]
        for one in wanted["bindings"]
        if one["source"] == topology.DEAD
    }
    for service in SERVICES:
        for name in (f"{service}.events", f"{service}.erasure"):
            arguments = queues[name]
            target = (
                arguments["x-dead-letter-exchange"],
                arguments["x-dead-letter-routing-key"],
            )
            assert bound[target] == f"{service}.dead"
            assert arguments["x-dead-letter-strategy"] == "at-least-once"
            assert arguments["x-overflow"] == "reject-publish"
    assert "x-dead-letter-exchange" not in queues["identity.dead"]


def test_order_needs_a_single_active_consumer_and_erasures_need_none(
    wanted: dict[str, Any],
) -> None:
    single = {q["name"]: q["arguments"].get("x-single-active-consumer") for q in wanted["queues"]}
    assert single["directory.events"] is True
    assert single["privacy.acks"] is True
    assert single["directory.erasure"] is None


def test_every_service_hears_every_erasure_and_the_facts_it_consumes(
    wanted: dict[str, Any], partner: dict[str, Any]
) -> None:
    bindings = {
        (one["source"], one["routing_key"], one["destination"])
        for one in [*wanted["bindings"], *partner["bindings"]]
    }
    for service in SERVICES:
        assert ("ccib.commands", "privacy.erase.v1", f"{service}.erasure") in bindings
    assert ("ccib.events", "identity.account_opened.v1", "directory.events") in bindings
    assert ("ccib.events", "identity.account_locked.v1", "privacy.events") in bindings
    assert ("ccib.acks", "#", "privacy.acks") in bindings
    assert ("ccib.commands", "privacy.erase.v1", "ext.crm.events") in bindings
    assert ("ccib.events", "directory.membership_granted.v1", "ext.crm.events") in bindings


def test_facts_have_an_alternate_exchange_and_commands_have_none(wanted: dict[str, Any]) -> None:
    alternates = {
        policy["pattern"]
        for policy in wanted["policies"]
        if "alternate-exchange" in policy["definition"]
    }
    assert alternates == {r"^ccib\.events$"}
    assert all("alternate-exchange" not in one["arguments"] for one in wanted["exchanges"])


def test_lengths_and_times_are_policies_which_operators_can_change(
    wanted: dict[str, Any], partner: dict[str, Any]
) -> None:
    for queue in [*wanted["queues"], *partner["queues"]]:
        assert not {"x-max-length", "x-message-ttl", "x-expires"} & queue["arguments"].keys()
    assert partner["policies"][0]["definition"] == {"max-length": 100_000}


def test_definitions_hold_no_password_and_are_the_same_every_time(wanted: dict[str, Any]) -> None:
    again = topology.definitions(
        vhost="/",
        passwords=PASSWORDS,
        consumes={"directory": [AccountOpened], "privacy": [AccountLocked, AccountOpened]},
        prefix="ccib-",
    )
    assert json.dumps(again) == json.dumps(wanted)
    assert not any(password in json.dumps(wanted) for password in PASSWORDS.values())


def test_nobody_may_configure_anything(wanted: dict[str, Any], partner: dict[str, Any]) -> None:
    for one in [*wanted["permissions"], *partner["permissions"]]:
        assert one["configure"] == "^$"
    assert all(user["tags"] == [] for user in [*wanted["users"], *partner["users"]])


async def test_a_service_that_finds_everything_may_start(bus: BusStand) -> None:
    await topology.check(bus.amqp_url("beta"), service="beta", management_url=bus.management_url)
    assert await bus.waiting("ccib.unrouted") == 0  # the check published nothing


async def test_a_missing_queue_is_named(bus: BusStand) -> None:
    async with await bus.admin() as connection:
        await (await connection.channel()).queue_delete("beta.dead")
    with pytest.raises(TopologyError, match=r"beta: NOT_FOUND - no queue 'beta\.dead'"):
        await topology.check(bus.amqp_url("beta"), service="beta")


async def test_a_missing_exchange_is_named(bus: BusStand) -> None:
    async with await bus.admin() as connection:
        await (await connection.channel()).exchange_delete("ccib.dead")
    with pytest.raises(TopologyError, match="NOT_FOUND - no exchange 'ccib.dead'"):
        await topology.check(bus.amqp_url("beta"), service="beta")


async def test_a_missing_permission_is_named(bus: BusStand) -> None:
    user = f"{bus.vhost}-beta"
    async with bus.management() as client:
        rights = {"configure": "^$", "write": r"^ccib\.events$", "read": r"^beta\.(events|dead)$"}
        await client.put(f"/api/permissions/{bus.vhost}/{user}", json=rights)
    with pytest.raises(TopologyError) as refused:
        await topology.check(bus.amqp_url("beta"), service="beta")
    assert "access to exchange 'ccib.acks'" in str(refused.value)
    assert "access to queue 'beta.erasure'" in str(refused.value)
    assert "beta.events" not in str(refused.value)


async def test_a_queue_of_the_wrong_kind_is_named(bus: BusStand) -> None:
    async with await bus.admin() as connection:
        channel = await connection.channel()
        await channel.queue_delete("beta.events")
        await channel.declare_queue("beta.events", durable=True)
    with pytest.raises(TopologyError, match=r"queue 'beta\.events': x-queue-type is"):
        await topology.check(
            bus.amqp_url("beta"), service="beta", management_url=bus.management_url
        )


async def test_the_check_takes_nothing_out_of_a_queue_and_counts_no_delivery(
    bus: BusStand,
) -> None:
    await bus.send(b"{}")
    await topology.check(bus.amqp_url("beta"), service="beta")
    (message,) = await bus.messages("beta.events", 1)
    assert "x-delivery-count" not in message.headers


async def test_definitions_can_be_applied_again_over_what_is_in_use(bus: BusStand) -> None:
    await bus.send(b"{}")
    await topology.apply(bus.management_url, definitions_of(bus.vhost))
    assert await bus.waiting("beta.events") == 1


async def outcome(url: str, kind: Kind, key: str) -> Outcome:
    async with await Publisher.open(url) as publisher:
        return await publisher.publish(kind.value, key, b"{}", "a message")


async def test_a_service_speaks_only_for_itself(bus: BusStand) -> None:
    beta = bus.amqp_url("beta")
    assert await outcome(beta, Kind.FACT, "beta.whatever.v1") is Outcome.ACKNOWLEDGED
    assert await outcome(beta, Kind.FACT, Happened.routing_key()) is Outcome.IMPOSSIBLE
    assert await outcome(beta, Kind.COMMAND, Erase.routing_key()) is Outcome.IMPOSSIBLE
    # Nobody is bound to the answers here; what counts is that it may be said.
    for event in (ErasureAcknowledged, ManifestAnnounced):
        assert await outcome(beta, Kind.ANSWER, event.routing_key()) is Outcome.RETURNED


async def test_a_partner_may_answer_and_read_its_own_queue_and_nothing_else(bus: BusStand) -> None:
    await topology.apply(
        bus.management_url,
        topology.partner_definitions(
            vhost=bus.vhost,
            name="crm",
            password="pw-ext-crm",
            facts=[Happened],
            prefix=f"{bus.vhost}-",
        ),
    )
    crm = bus.amqp_url("ext-crm")
    answer = PartnerAcknowledged.routing_key()
    assert await outcome(crm, Kind.ANSWER, answer) is Outcome.RETURNED
    assert await outcome(crm, Kind.ANSWER, "manifest_announced") is Outcome.IMPOSSIBLE
    assert await outcome(crm, Kind.FACT, Happened.routing_key()) is Outcome.IMPOSSIBLE
    assert await outcome(crm, Kind.COMMAND, Erase.routing_key()) is Outcome.IMPOSSIBLE
    async with await aio_pika.connect(crm) as connection:
        for forbidden in ("beta.events", "beta.erasure", "ccib.unrouted"):
            channel = await connection.channel()
            queue = await channel.get_queue(forbidden, ensure=False)
            with pytest.raises(aio_pika.exceptions.ChannelClosed, match="ACCESS_REFUSED"):
                await queue.get()
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelClosed, match="ACCESS_REFUSED"):
            await channel.declare_queue("ext.crm.more", durable=True)
    await topology.remove_partner(
        bus.management_url, vhost=bus.vhost, name="crm", prefix=f"{bus.vhost}-"
    )
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await aio_pika.connect(crm)


async def test_nobody_borrows_the_name_of_another_user(bus: BusStand) -> None:
    async with await aio_pika.connect(bus.amqp_url("alpha")) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(Kind.FACT.value, ensure=False)
        message = aio_pika.Message(b"{}", user_id=f"{bus.vhost}-beta")
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed):
            await exchange.publish(message, Happened.routing_key())


async def test_a_partner_that_is_down_for_days_loses_its_oldest_messages_and_holds_up_nobody(
    bus: BusStand,
) -> None:
    wanted = topology.partner_definitions(
        vhost=bus.vhost,
        name="crm",
        password="pw-ext-crm",
        facts=[Happened],
        prefix=f"{bus.vhost}-",
        max_messages=5,
    )
    await topology.apply(bus.management_url, wanted)
    for number in range(20):
        await bus.send(str(number).encode())
    kept = await bus.messages("ext.crm.events", 5)
    assert [message.body for message in kept] == [str(number).encode() for number in range(15, 20)]
    assert await bus.waiting("beta.events") == 20
    await topology.remove_partner(
        bus.management_url, vhost=bus.vhost, name="crm", prefix=f"{bus.vhost}-"
    )
