"""What the broker says: alarms, queues, consumers, policies."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2

from chassis.trust import only
from cli.doctor.findings import Finding, attention, broken, counted, notice
from cli.doctor.sources import Sources
from cli.platform import SERVICES

DEEP = 1_000
"""Messages in a queue that somebody reads all the time."""
_UNROUTED = "ccib.unrouted"
_POLICIES = ("unrouted", "unrouted-kept", "dead-kept")


@dataclass(kw_only=True)
class Heard:
    """What the broker says."""

    answers: bool = False
    partner_queues: set[str] | None = None
    """Names of partners that have a queue; None when unknown."""
    findings: list[Finding] = field(default_factory=list)


async def examine(sources: Sources) -> Heard:
    """Ask the broker's administration. Its counts are up to five seconds old."""
    async with httpx2.AsyncClient(timeout=5, verify=only(sources.management_ca)) as client:
        return await _ask(client, sources)


async def _ask(client: httpx2.AsyncClient, sources: Sources) -> Heard:
    heard = Heard()
    at, vhost = f"{sources.management}/api", quote(sources.vhost, safe="")
    try:
        nodes = await _get(client, f"{at}/nodes")
    except httpx2.HTTPError as error:
        heard.findings.append(
            broken(
                "broker",
                f"its administration does not answer ({type(error).__name__})",
                "start RabbitMQ again, with its management plugin. Until then services answer people "
                "and keep what they want to tell each other; erasures wait",
            )
        )
        return heard
    heard.answers = True
    heard.findings += _alarms(nodes)
    try:
        queues = await _get(client, f"{at}/queues/{vhost}")
    except httpx2.HTTPError as error:
        heard.findings.append(
            broken(
                "broker",
                f"the virtual host {sources.vhost} cannot be read ({error})",
                "import the definitions again (`make run` does), or correct the user's rights",
            )
        )
        return heard
    consumers = Counter(
        one["queue"]["name"] for one in await _get(client, f"{at}/consumers/{vhost}")
    )
    bound = {
        one["destination"] for one in await _get(client, f"{at}/bindings/{vhost}") if one["source"]
    }
    heard.findings += _queues(queues, consumers, bound)
    policies = {one["name"]: one for one in await _get(client, f"{at}/policies/{vhost}")}
    heard.findings += [
        attention(
            "broker",
            f"the policy {name} is missing",
            "import the definitions again: without it messages are lost, or kept for ever",
        )
        for name in _POLICIES
        if name not in policies
    ]
    heard.partner_queues = set()
    for queue in queues:
        if queue["name"].startswith("ext."):
            name = queue["name"].removeprefix("ext.").removesuffix(".events")
            heard.partner_queues.add(name)
            policy = policies.get(f"ext-{name}", {}).get("definition", {})
            heard.findings += _partner(name, queue, consumers, policy.get("max-length"))
    return heard


async def _get(client: httpx2.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.json()


def _alarms(nodes: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for node in nodes:
        name = node["name"]
        if not node.get("running"):
            found.append(broken("broker", f"its node {name} is down", "start it again"))
            continue
        if node.get("mem_alarm"):
            found.append(
                broken(
                    "broker",
                    f"memory alarm on {name}: it takes no messages",
                    "see which queue is long; give it memory, or readers",
                )
            )
        if node.get("disk_free_alarm"):
            found.append(
                broken(
                    "broker",
                    f"disk alarm on {name}: it takes no messages",
                    f"free disk space: {node.get('disk_free', 0) / 1e9:.1f} GB are left there",
                )
            )
        if node.get("partitions"):
            found.append(
                broken(
                    "broker",
                    f"{name} is cut off from {', '.join(node['partitions'])}",
                    "mend the network between the nodes, then restart the smaller side",
                )
            )
    return found


def _queues(
    queues: list[dict[str, Any]], consumers: Counter[str], bound: set[str]
) -> list[Finding]:
    found = []
    by_name = {queue["name"]: queue for queue in queues}
    for service in SERVICES:
        read = [f"{service}.events", f"{service}.erasure"]
        read += ["privacy.acks"] if service == "privacy" else []
        for name in (*read, f"{service}.dead"):
            if name not in by_name:
                found.append(
                    broken(
                        service,
                        f"its queue {name} does not exist",
                        "import the definitions again (`make run` does)",
                    )
                )
        for name in read:
            waiting = by_name.get(name, {}).get("messages", 0)
            if name in bound & by_name.keys() and not consumers[name]:
                found.append(
                    broken(
                        service,
                        f"nobody reads its queue {name}"
                        + (f", where {_messages(waiting)} wait" if waiting else ""),
                        "start its worker again; if it runs, its log says why it does not consume",
                    )
                )
            elif waiting > DEEP:
                found.append(
                    attention(
                        service,
                        f"its queue {name} is long: {_messages(waiting)}",
                        "it reads more slowly than others write: look at its log and its database",
                    )
                )
        if dead := by_name.get(f"{service}.dead", {}).get("messages", 0):
            found.append(
                attention(
                    service,
                    f"the broker gave up on {_messages(dead)} for it ({service}.dead)",
                    f"ccib dead-letters collect --service {service}, then ccib dead-letters list",
                )
            )
    if _UNROUTED not in by_name:
        found.append(
            attention(
                "broker",
                f"the queue {_UNROUTED} does not exist",
                "import the definitions again (`make run` does)",
            )
        )
    elif unrouted := by_name[_UNROUTED].get("messages", 0):
        found.append(
            attention(
                "broker",
                f"{_messages(unrouted)} in {_UNROUTED}: facts that nobody listens to",
                "a binding is missing, or a release publishes facts that no release consumes yet",
            )
        )
    return found


def _partner(
    name: str, queue: dict[str, Any], consumers: Counter[str], limit: int | None
) -> list[Finding]:
    waiting = queue.get("messages", 0)
    if limit is None:
        return [
            attention(
                f"partner {name}",
                "its queue has no limit",
                f"ccib participants rotate {name} sets it again (and another password)",
            )
        ]
    if waiting >= 0.9 * limit:
        return [
            attention(
                f"partner {name}",
                f"its queue is full ({waiting:,} of {limit:,}): it loses its oldest messages",
                "ask it to read; erasures are sent again until it answers, other facts are lost to it",
            )
        ]
    if waiting and not consumers[queue["name"]]:
        return [
            notice(
                f"partner {name}",
                f"it is not connected; {_messages(waiting)} wait for it",
                "ask it whether it is down; nobody else is held up",
            )
        ]
    return []


def _messages(count: int) -> str:
    return counted(count, "message", "messages")
