"""Rules about who finds whom: selectors, doors, networks, scaling. Each yields what is wrong."""

from collections.abc import Iterator
from typing import Any

from deploy.k8s.broker import resources
from deploy.local.gateway import HEADERS, INSIDE, MAX_BODY_BYTES, TRACING
from tests.deploy.kubernetes.world import Pod, World, selects

OUTSIDE = {"traefik", "monitoring", "keda", "cnpg-system", "rabbitmq-system", "kube-system"}
"""Namespaces of others that ours talk with."""

FOR_EVERYBODY = {"default-deny", "names", "scraping", "tracing"}
"""Policies that say nothing of who is who."""

NOBODY_YET = {"partners"}
"""Policies that wait for an operator's word."""


def services_lead_to_pods(world: World) -> Iterator[str]:
    for name, service in world.named("Service").items():
        found = world.selected({"matchLabels": service["spec"]["selector"]})
        if len(found) != 1 or found[0].kind != "Deployment":
            yield f"Service {name}: leads to {[pod.owner for pod in found]}"
            continue
        ports = {port["name"] for port in found[0].spec["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"Service {name}: no port {port['targetPort']}"
    for deployment in world.of("Deployment"):
        spec = deployment["spec"]
        if not selects(spec["selector"], spec["template"]["metadata"]["labels"]):
            yield f"Deployment {deployment['metadata']['name']}: does not know its own pods"
        if "app.kubernetes.io/version" in spec["selector"]["matchLabels"]:
            yield f"Deployment {deployment['metadata']['name']}: the next release could not be applied"


def a_node_can_be_drained(world: World) -> Iterator[str]:
    budgets = world.of("PodDisruptionBudget")
    for budget in budgets:
        name, spec = budget["metadata"]["name"], budget["spec"]
        if not world.selected(spec["selector"]):
            yield f"PodDisruptionBudget {name}: protects nobody"
        # `minAvailable: 1` of one replica would hold up every drain.
        if "minAvailable" in spec or spec.get("maxUnavailable") in {0, "0%", None}:
            yield f"PodDisruptionBudget {name}: blocks a drain"
    for pod in world.pods:
        if pod.kind == "Deployment" and pod.of_the_platform:
            of_it = [b for b in budgets if selects(b["spec"]["selector"], pod.labels)]
            if len(of_it) != 1:
                yield f"{pod.owner}: {len(of_it)} disruption budgets"


def one_scaler_owns_the_number(world: World) -> Iterator[str]:
    deployments = world.named("Deployment")
    targets: list[str] = []
    for scaler in world.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        if target not in deployments:
            yield f"{scaler['kind']} {target}: scales nobody"
            continue
        if target in targets:
            yield f"{target}: two scalers"
        targets.append(target)
        if "replicas" in deployments[target]["spec"]:
            yield f"{target}: the manifest and a scaler both say how many"
    for name, deployment in deployments.items():
        if name not in targets and "replicas" not in deployment["spec"]:
            yield f"{name}: nobody says how many"


def erasures_are_the_reason_to_scale(world: World) -> Iterator[str]:
    queues = {one["spec"]["name"] for one in resources() if one["kind"] == "Queue"}
    authentications = world.named("TriggerAuthentication")
    for scaled in world.of("ScaledObject"):
        service = scaled["metadata"]["labels"]["app.kubernetes.io/name"]
        for trigger in scaled["spec"]["triggers"]:
            told = trigger["metadata"]
            if told["queueName"] not in queues or told["queueName"] != f"{service}.erasure":
                yield f"ScaledObject of {service}: looks at {told['queueName']}"
            if told.get("protocol") != "http" or told.get("vhostName") != "ccib":
                yield f"ScaledObject of {service}: asks where nobody answers"
            if trigger["authenticationRef"]["name"] not in authentications:
                yield f"ScaledObject of {service}: asks as nobody"


def routes_lead_to_services(world: World) -> Iterator[str]:
    listeners = {
        (gateway["metadata"]["name"], listener["name"])
        for gateway in world.of("Gateway")
        for listener in gateway["spec"]["listeners"]
    }
    services = world.named("Service")
    middlewares = world.named("Middleware")
    for route in world.of("HTTPRoute"):
        where = f"HTTPRoute {route['metadata']['name']}"
        for parent in route["spec"]["parentRefs"]:
            if (parent["name"], parent.get("sectionName")) not in listeners:
                yield f"{where}: no such door {parent}"
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                ports = services.get(backend["name"], {}).get("spec", {}).get("ports", [])
                if backend["port"] not in [port["port"] for port in ports]:
                    yield f"{where}: nobody is {backend['name']}:{backend['port']}"
            if rule.get("backendRefs") and not rule.get("timeouts", {}).get("request"):
                yield f"{where}: waits for ever for {rule.get('name')}"
            for extension in _extensions(rule):
                if extension not in middlewares:
                    yield f"{where}: no middleware {extension}"


def the_inside_stays_inside(world: World) -> Iterator[str]:
    """No rule leads to /health, /metrics or /internal of a service, and the site's lead home."""
    for route in world.of("HTTPRoute"):
        where, home = f"HTTPRoute {route['metadata']['name']}", set()
        for rule in route["spec"]["rules"]:
            paths = {match["path"]["value"] for match in rule.get("matches", [])}
            backends = [backend["name"] for backend in rule.get("backendRefs", [])]
            if not backends:
                home |= paths
            for backend in backends:
                allowed = {f"/api/{backend}/"} if backend != "web" else {"/"}
                if backend == "identity":
                    allowed.add("/.well-known/")
                if not paths or not paths <= allowed:
                    yield f"{where}: {sorted(paths)} lead to {backend}"
        leads_to_site = any(
            backend["name"] == "web"
            for rule in route["spec"]["rules"]
            for backend in rule.get("backendRefs", [])
        )
        if leads_to_site and not set(INSIDE) <= home:
            yield f"{where}: {sorted(set(INSIDE) - home)} lead to the site"
        doors = {parent.get("sectionName") for parent in route["spec"]["parentRefs"]}
        if leads_to_site and "site" in doors:
            yield f"{where}: the site's own door leads to the site"


def doors_are_guarded(world: World) -> Iterator[str]:
    """Headers on every answer of a service; with Traefik, how large and how many."""
    traefik = bool(world.of("Middleware"))
    for name, middleware in world.named("Middleware").items():
        limit = middleware["spec"].get("buffering", {}).get("maxRequestBodyBytes", MAX_BODY_BYTES)
        if limit != MAX_BODY_BYTES:
            yield f"Middleware {name}: not the limit of the local gateway"
    wanted = {header for header, value in HEADERS.items() if value}
    for route in world.of("HTTPRoute"):
        people = any(p.get("sectionName") == "people" for p in route["spec"]["parentRefs"])
        for rule in route["spec"]["rules"]:
            where = f"HTTPRoute {route['metadata']['name']}/{rule.get('name')}"
            backends = [backend["name"] for backend in rule.get("backendRefs", [])]
            if not backends:
                continue
            if backends != ["web"]:
                missing = (wanted | {"Content-Security-Policy"}) - _headers(rule)
                if missing:
                    yield f"{where}: no {sorted(missing)}"
            if people != (_removed(rule) == set(TRACING)):
                yield f"{where}: {'a visitor chooses the trace' if people else 'no trace goes on'}"
            extensions = _extensions(rule)
            if traefik and "body-limit" not in extensions:
                yield f"{where}: bodies of any size"
            if traefik and people != ("rate-limit" in extensions):
                yield f"{where}: {'no' if people else 'a'} rate"


def _extensions(rule: dict[str, Any]) -> list[str]:
    return [
        one["extensionRef"]["name"]
        for one in rule.get("filters", [])
        if one["type"] == "ExtensionRef"
    ]


def _removed(rule: dict[str, Any]) -> set[str]:
    """The headers of a request that reach nobody."""
    return {
        header
        for one in rule.get("filters", [])
        for header in one.get("requestHeaderModifier", {}).get("remove", [])
    }


def _headers(rule: dict[str, Any]) -> set[str]:
    return {
        header["name"]
        for one in rule.get("filters", [])
        for header in one.get("responseHeaderModifier", {}).get("set", [])
    }


def everything_is_denied_first(world: World) -> Iterator[str]:
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if world.named("NetworkPolicy").get("default-deny", {}).get("spec") != nothing:
        yield "nothing is denied first"
    for name, policy in world.named("NetworkPolicy").items():
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                if not rule.get(peers):
                    yield f"NetworkPolicy {name}: everybody"
                if not rule.get("ports"):
                    yield f"NetworkPolicy {name}: every port"


def policies_select_somebody(world: World) -> Iterator[str]:
    for name, policy in world.named("NetworkPolicy").items():
        if not world.selected(policy["spec"]["podSelector"]) and name not in NOBODY_YET:
            yield f"NetworkPolicy {name}: is about nobody"
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                for peer in rule.get(peers, []):
                    yield from _peer(world, name, peer)


def _peer(world: World, name: str, peer: dict[str, Any]) -> Iterator[str]:
    if space := peer.get("namespaceSelector"):
        named = space.get("matchLabels", {}).get("kubernetes.io/metadata.name")
        if named not in OUTSIDE:
            yield f"NetworkPolicy {name}: the namespace {named} is unknown"
    elif "podSelector" in peer and not world.selected(peer["podSelector"]):
        yield f"NetworkPolicy {name}: talks with nobody ({peer['podSelector']})"


def who_may_call_is_answered(world: World) -> Iterator[str]:
    """Inside the namespace: what one side may send, the other may receive, and the other way round."""
    out, into = _allowed(world, "egress"), _allowed(world, "ingress")
    for source, target, port in sorted(out - into):
        yield f"{source} may send to {target}:{port}, which may not hear it"
    for source, target, port in sorted(into - out):
        yield f"{target}:{port} may hear {source}, which may not send"


def _allowed(world: World, direction: str) -> set[tuple[str, str, int]]:
    found = set()
    peers = "to" if direction == "egress" else "from"
    for policy in world.of("NetworkPolicy"):
        here = world.selected(policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, []):
            there = [
                pod
                for peer in rule[peers]
                if "podSelector" in peer and "namespaceSelector" not in peer
                for pod in world.selected(peer["podSelector"])
            ]
            for port in rule["ports"]:
                for one in here:
                    for other in there:
                        pair = (one, other) if direction == "egress" else (other, one)
                        if _serves(pair[1], port["port"]):
                            found.add((pair[0].owner, pair[1].owner, port["port"]))
    return found


def _serves(pod: Pod, port: int) -> bool:
    """Whether a connection to that port would reach anything: of operators' pods, we believe it."""
    if not pod.ours:
        return True
    return any(one["containerPort"] == port for c in pod.containers for one in c.get("ports", []))


def every_door_has_a_policy(world: World) -> Iterator[str]:
    """Who serves may be called by somebody; who asks may ask."""
    policies = [p for n, p in world.named("NetworkPolicy").items() if n not in FOR_EVERYBODY]
    for pod in world.pods:
        for direction in ("Ingress", "Egress"):
            if direction == "Ingress" and pod.ours and not _serves(pod, 8080):
                continue
            if not any(
                direction in p["spec"]["policyTypes"]
                and selects(p["spec"]["podSelector"], pod.labels)
                for p in policies
            ):
                yield f"{pod.owner}: no {direction} but what is denied"


RULES = [
    services_lead_to_pods,
    a_node_can_be_drained,
    one_scaler_owns_the_number,
    erasures_are_the_reason_to_scale,
    routes_lead_to_services,
    the_inside_stays_inside,
    doors_are_guarded,
    everything_is_denied_first,
    policies_select_somebody,
    who_may_call_is_answered,
    every_door_has_a_policy,
]
