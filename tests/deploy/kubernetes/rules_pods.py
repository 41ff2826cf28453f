"""Rules about pods: what they may, what they get, how they begin and end. Each yields what is wrong."""

import re
from collections.abc import Iterator

from chassis.service import PATIENCE_S
from cli.main import GROUPS
from deploy.k8s.generate import version
from tests.deploy.kubernetes.world import Pod, World, made, without_hash

VOLUMES = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
PROBES = {
    "startupProbe": "/health/started",
    "readinessProbe": "/health/ready",
    "livenessProbe": "/health/live",
}


def _ours(world: World) -> list[Pod]:
    return [pod for pod in world.pods if pod.ours]


def pod_security_is_restricted(world: World) -> Iterator[str]:
    """The Kubernetes profile `restricted`, and a root file system that nobody writes to."""
    for pod in _ours(world):
        told = pod.spec.get("securityContext", {})
        if not told.get("runAsNonRoot") or told.get("runAsUser") != 10001:
            yield f"{pod.owner}: may run as root"
        if told.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.owner}: no seccomp profile"
        for name in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
            if pod.spec.get(name):
                yield f"{pod.owner}: {name}"
        for volume in pod.spec.get("volumes", []):
            if not (set(volume) - {"name"}) <= VOLUMES:
                yield f"{pod.owner}: volume {volume['name']} is of a forbidden kind"
        for container in pod.containers:
            where, own = f"{pod.owner}/{container['name']}", container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{where}: may gain privileges"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where}: keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where}: writable root"
            if any("hostPort" in port for port in container.get("ports", [])):
                yield f"{where}: a port of the host"


def namespace_enforces_restricted(world: World) -> Iterator[str]:
    for namespace in world.of("Namespace"):
        for mode in ("enforce", "audit", "warn"):
            if (
                namespace["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}")
                != "restricted"
            ):
                yield f"namespace: {mode} is not restricted"
    for document in world.documents:
        inside = document["kind"] == "Namespace" or document["metadata"].get("namespace") == "ccib"
        if not inside:
            yield f"{document['kind']} {document['metadata']['name']}: not in the namespace"


def nobody_gets_a_token(world: World) -> Iterator[str]:
    accounts = world.named("ServiceAccount")
    for pod in _ours(world):
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: gets a token of the Kubernetes API"
        if pod.spec.get("serviceAccountName") not in accounts:
            yield f"{pod.owner}: no account of its own"
    for name, account in accounts.items():
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {name}: mounts its token"


def images_bear_the_version(world: World) -> Iterator[str]:
    for pod in _ours(world):
        if not pod.of_the_platform:
            image = pod.spec["containers"][0]["image"]
            if "ccib-" in image or not re.search(r":v\d+\.\d+\.\d+$", image):
                yield f"{pod.owner}: image {image} of nobody, or without a version"
            continue
        for container in pod.containers:
            if not re.fullmatch(
                rf"([\w.-]+/)*ccib-[a-z]+:{re.escape(version())}", container["image"]
            ):
                yield f"{pod.owner}: image {container['image']}"
        if (
            pod.kind != "CronJob"
            and f"ccib-{pod.service}:" not in pod.spec["containers"][0]["image"]
        ):
            yield f"{pod.owner}: somebody else's image"
    for document in world.of("Cluster", "RabbitmqCluster"):
        image = document["spec"].get("imageName") or document["spec"].get("image") or ""
        if not re.search(r":\d+\.\d", image):
            yield f"{document['kind']}: image {image!r} has no version"


def resources_are_bounded(world: World) -> Iterator[str]:
    """No limit on the processor: what is free may be used; memory is what kills neighbours."""
    for pod in _ours(world):
        for container in pod.containers:
            told = container.get("resources", {})
            if not {"cpu", "memory"} <= told.get("requests", {}).keys():
                yield f"{pod.owner}/{container['name']}: asks for nothing"
            if "memory" not in told.get("limits", {}):
                yield f"{pod.owner}/{container['name']}: no limit of memory"
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.owner}: volume {volume['name']} may fill the node"
    for document in world.of("Cluster", "RabbitmqCluster"):
        if "memory" not in document["spec"].get("resources", {}).get("limits", {}):
            yield f"{document['kind']}: no limit of memory"


def probes_ask_three_questions(world: World) -> Iterator[str]:
    for pod in _ours(world):
        if pod.kind != "Deployment" or not pod.of_the_platform:
            continue
        container = pod.spec["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        if ports.get("operations") != 9090:
            yield f"{pod.owner}: no operations port"
        for probe, path in PROBES.items():
            asked = container.get(probe, {}).get("httpGet")
            if asked != {"path": path, "port": "operations"}:
                yield f"{pod.owner}: {probe} asks {asked}"


def there_is_time_to_drain(world: World) -> Iterator[str]:
    for pod in _ours(world):
        if pod.kind != "Deployment" or not pod.of_the_platform:
            continue
        container = pod.spec["containers"][0]
        graceful = [
            int(argument.partition("=")[2])
            for argument in container.get("args", [])
            if argument.startswith("--timeout-graceful-shutdown=")
        ]
        serves = any(port["name"] == "http" for port in container["ports"])
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if serves and (not graceful or pause < 5):
            yield f"{pod.owner}: takes requests until it is gone"
        loops = 0 if pod.service == "web" else PATIENCE_S
        needed = pause + sum(graceful) + loops
        if pod.spec.get("terminationGracePeriodSeconds", 30) <= needed:
            yield f"{pod.owner}: killed before the {needed:.0f} s that it may take"


def replicas_are_spread(world: World) -> Iterator[str]:
    for pod in _ours(world):
        if pod.kind != "Deployment" or not pod.of_the_platform:
            continue
        keys = set()
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not selects_itself(constraint["labelSelector"], pod):
                yield f"{pod.owner}: spreads somebody else"
            keys.add(constraint["topologyKey"])
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{pod.owner}: not spread over zones and nodes"


def selects_itself(selector: dict, pod: Pod) -> bool:
    return selector.get("matchLabels", {}).items() <= pod.labels.items()


def volumes_and_mounts_agree(world: World) -> Iterator[str]:
    for pod in _ours(world):
        there = {volume["name"] for volume in pod.spec.get("volumes", [])}
        used = {m["name"] for c in pod.containers for m in c.get("volumeMounts", [])}
        for name in there ^ used:
            yield f"{pod.owner}: volume {name} is {'not used' if name in there else 'not there'}"
        places = [m["mountPath"] for m in pod.spec["containers"][0].get("volumeMounts", [])]
        if "/tmp" not in places:
            yield f"{pod.owner}: cannot write anything"


def secrets_exist(world: World) -> Iterator[str]:
    """Every Secret and key that a pod names is made by the command, or by an operator."""
    for pod, name, key in secret_keys(world):
        if name not in made():
            yield f"{pod.owner}: nobody makes the Secret {name}"
        elif key is not None and key not in made()[name]:
            yield f"{pod.owner}: the Secret {name} has no {key}"


def secret_keys(world: World) -> Iterator[tuple[Pod, str, str | None]]:
    for pod in _ours(world):
        for container in pod.containers:
            for variable in container.get("env", []):
                if asked := variable.get("valueFrom", {}).get("secretKeyRef"):
                    yield pod, asked["name"], asked["key"]
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                items = volume["secret"].get("items", [{"key": None}])
                for item in items:
                    yield pod, volume["secret"]["secretName"], item["key"]
            for source in volume.get("projected", {}).get("sources", []):
                for item in source["secret"]["items"]:
                    yield pod, source["secret"]["name"], item["key"]


def configuration_exists_and_is_immutable(world: World) -> Iterator[str]:
    maps = world.configuration()
    for pod in _ours(world):
        names = [v["configMap"]["name"] for v in pod.spec.get("volumes", []) if "configMap" in v]
        for container in pod.containers:
            names += [one["configMapRef"]["name"] for one in container.get("envFrom", [])]
        for name in names:
            if name not in maps and name not in {"trust", "trust-evidence", "trust-ledger"}:
                yield f"{pod.owner}: no ConfigMap {name}"
    for name, one in maps.items():
        if not one.get("immutable") or without_hash(name) == name:
            yield f"ConfigMap {name}: could change below a running pod"


def clock_work_is_bounded(world: World) -> Iterator[str]:
    commands = {name for group in GROUPS.values() for name in group}
    for one in world.of("CronJob"):
        name, spec = one["metadata"]["name"], one["spec"]
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"CronJob {name}: may overlap itself"
        if spec.get("timeZone") != "Europe/Paris":
            yield f"CronJob {name}: in no time zone"
        for wanted in (
            "startingDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ):
            if wanted not in spec:
                yield f"CronJob {name}: no {wanted}"
        if "activeDeadlineSeconds" not in spec["jobTemplate"]["spec"]:
            yield f"CronJob {name}: may run for ever"
        container = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        *program, command = container["command"]
        if program != ["python", "-m", "cli.main"] or command not in commands:
            yield f"CronJob {name}: there is no command {container['command']}"


def jobs_belong_to_a_release(world: World) -> Iterator[str]:
    for job in world.of("Job"):
        name, spec = job["metadata"]["name"], job["spec"]
        if not name.endswith("-" + version().replace(".", "-")):
            yield f"Job {name}: a second release could not make it again"
        if "activeDeadlineSeconds" not in spec or "backoffLimit" not in spec:
            yield f"Job {name}: no end"
        if spec["template"]["metadata"]["labels"]["app.kubernetes.io/component"] != "migrations":
            continue
        container = spec["template"]["spec"]["containers"][0]
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        role = r"postgresql://ccib_(\w+)_owner@postgres-rw:5432/ccib_\1"
        if not re.fullmatch(role, told.get("CCIB_DATABASE_URL", "")):
            yield f"Job {name}: not the owner, or not the server itself"
        if not name.startswith(
            container["command"][2].split(".")[1] + "-" + container["command"][3]
        ):
            yield f"Job {name}: runs {container['command']}"


RULES = [
    pod_security_is_restricted,
    namespace_enforces_restricted,
    nobody_gets_a_token,
    images_bear_the_version,
    resources_are_bounded,
    probes_ask_three_questions,
    there_is_time_to_drain,
    replicas_are_spread,
    volumes_and_mounts_agree,
    secrets_exist,
    configuration_exists_and_is_immutable,
    clock_work_is_bounded,
    jobs_belong_to_a_release,
]
