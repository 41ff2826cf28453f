"""Rules about what processes and people are told: it must be true. Each yields what is wrong."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from deploy.k8s import secrets
from tests.deploy.kubernetes.world import World, without_hash

LOGINS = {"CCIB_DATABASE_URL": "database", "CCIB_AMQP_URL": "broker"}
OTHERS = {"smtp.example.org", "traefik-site.traefik.svc.cluster.local"}
"""Hosts that are not ours."""


def _maps(world: World) -> dict[str, dict[str, str]]:
    return {without_hash(name): one["data"] for name, one in world.configuration().items()}


def _hosts(world: World) -> dict[str, set[int]]:
    """Every name inside, with the ports on which somebody answers."""
    found = {
        name: {port["port"] for port in one["spec"]["ports"]}
        for name, one in world.named("Service").items()
    }
    for cluster in world.of("Cluster"):
        found[f"{cluster['metadata']['name']}-rw"] = {5432}
    for cluster in world.of("RabbitmqCluster"):
        plain = not cluster["spec"].get("tls", {}).get("disableNonTLSListeners")
        found[cluster["metadata"]["name"]] = {5672, 15672} if plain else {5671, 15671}
    return found


def addresses_lead_to_somebody(world: World) -> Iterator[str]:
    hosts = _hosts(world)
    for name, data in _maps(world).items():
        for variable, value in data.items():
            values = json.loads(value).values() if value.startswith("{") else [value]
            for url in map(urlsplit, values):
                outside = variable in {"CCIB_PUBLIC_URL", "CCIB_ISSUER", "AWS_ENDPOINT"}
                if not url.hostname or url.scheme == "s3" or outside or url.hostname in OTHERS:
                    continue
                if url.port not in hosts.get(url.hostname, set()):
                    yield f"{name}: {variable} leads to nobody ({url.hostname}:{url.port})"


def a_service_logs_in_as_itself(world: World) -> Iterator[str]:
    """The address names the user whose password the Secret of the pod holds."""
    users = {one["metadata"]["name"]: one for one in secrets.logins()}
    for name, data in _maps(world).items():
        for variable, kind in LOGINS.items():
            if variable not in data:
                continue
            url, expected = urlsplit(data[variable]), users[f"{kind}-{name}"]["stringData"]
            if url.username != expected["username"] or url.password is not None:
                yield f"{name}: {variable} is of {url.username}, or holds a password"
        admin = urlsplit(data.get("CCIB_BROKER_ADMIN_URL", "")).username
        if admin not in {None, users["broker-admin"]["stringData"]["username"]}:
            yield f"{name}: administers the broker as {admin}"


def tls_is_all_or_nothing(world: World) -> Iterator[str]:
    """A broker that answers TLS alone, and addresses and authorities to match."""
    maps = _maps(world)
    told = {"CCIB_DATABASE_CA_FILE", "CCIB_AMQP_CA_FILE"} & maps["services"].keys()
    for cluster in world.of("RabbitmqCluster"):
        verified = bool(cluster["spec"].get("tls", {}).get("disableNonTLSListeners"))
        if len(told) != (2 if verified else 0):
            yield f"the broker's TLS is {verified}, and services are told {sorted(told)}"
        for name, data in maps.items():
            scheme = urlsplit(data.get("CCIB_AMQP_URL", "")).scheme
            if scheme and scheme != ("amqps" if verified else "amqp"):
                yield f"{name}: {scheme}"
        for job in world.of("CronJob"):
            for variable in World([job]).pods[0].spec["containers"][0]["env"]:
                port = (
                    urlsplit(variable.get("value", "")).port
                    if "BROKER" in variable["name"]
                    else None
                )
                if port and port != (15671 if verified else 15672):
                    yield f"CronJob {job['metadata']['name']}: asks the broker at {port}"
    if told:
        for pod in world.pods:
            if not pod.ours or pod.service == "web":
                continue
            places = {m["mountPath"] for m in pod.spec["containers"][0]["volumeMounts"]}
            if "/etc/ccib/ca/database" not in places:
                yield f"{pod.owner}: does not know PostgreSQL's authority"


def the_address_is_one(world: World) -> Iterator[str]:
    """Tokens, links and the certificate of the door are of one address."""
    maps = _maps(world)
    public = maps["platform"]["CCIB_PUBLIC_URL"]
    if maps["services"]["CCIB_ISSUER"] != public or not public.startswith("https://"):
        yield f"issuer {maps['services']['CCIB_ISSUER']}, public {public}"
    for gateway in world.of("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            if (
                listener["protocol"] == "HTTPS"
                and listener["hostname"] != urlsplit(public).hostname
            ):
                yield f"the door is of {listener['hostname']}"


def backups_live_as_long_as_people_are_told(world: World) -> Iterator[str]:
    """Certificates say until when a backup may still hold what was erased."""
    said = int(_maps(world)["privacy"]["CCIB_BACKUP_DAYS"])
    for store in world.of("ObjectStore"):
        kept = re.fullmatch(r"(\d+)d", store["spec"]["retentionPolicy"])
        if not kept or int(kept[1]) != said:
            yield f"backups live {store['spec']['retentionPolicy']}, people are told {said} days"


def variables_are_declared_before_they_are_named(world: World) -> Iterator[str]:
    """`$(NAME)` of a variable that comes later, or not at all, stays as it is written."""
    for pod in world.pods:
        for container in pod.containers:
            before: set[str] = set()
            for one in container.get("env", []):
                for name in set(re.findall(r"\$\((\w+)\)", one.get("value", ""))) - before:
                    yield f"{pod.owner}: {one['name']} names {name}, which is not there yet"
                before.add(one["name"])


RULES = [
    variables_are_declared_before_they_are_named,
    addresses_lead_to_somebody,
    a_service_logs_in_as_itself,
    tls_is_all_or_nothing,
    the_address_is_one,
    backups_live_as_long_as_people_are_told,
]
