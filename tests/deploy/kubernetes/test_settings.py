"""What the manifests tell a process is what its code reads, in both directions."""

import importlib
import re
from pathlib import Path

import pytest

from deploy.k8s.members import MEMBERS
from deploy.local.keys import CLIENTS, SITE
from tests.deploy.kubernetes import rendered
from tests.deploy.kubernetes.world import World

PENDING: set[str] = {
    "CCIB_OPERATIONS_HOST",
    "CCIB_OPERATIONS_PORT",
    "CCIB_DATABASE_CA_FILE",
    "CCIB_AMQP_CA_FILE",
    "CCIB_RUNTIME_ROLE",
}
"""Variables that the manifests set and the code does not read yet."""

PENDING_SECRETS: set[str] = {
    "database_password",
    "amqp_password",
    "smtp_password",
    "broker_admin_password",
    "storage_access_key_id",
    "storage_secret_access_key",
}
"""Files that the manifests mount and the code does not read yet."""

PENDING_PATHS = {"/health/started"}
"""Probes that the code does not answer yet."""

LEFT_ALONE = {
    "CCIB_API_DOCS": "the interface is described in public nowhere",
    "CCIB_BROKER_PREFIX": "one platform on one broker",
    "CCIB_COURT": "the text of the law is right everywhere",
    "CCIB_DATABASE_CA_FILE": "set by components/tls",
    "CCIB_AMQP_CA_FILE": "set by components/tls",
    "CCIB_DATABASE_POOL": "as many as PostgreSQL is told to expect",
    "CCIB_MAX_BODY_BYTES": "as the code says",
    "CCIB_OTLP_ENDPOINT": "no collector is part of this: tracing is off until an overlay names one",
    "CCIB_OTLP_SAMPLE": "as the code says",
    "CCIB_RUN_WORKER": "a worker is a process of its own",
}
"""Variables that exist and that an operator need not set, each with the reason."""

PEOPLE = [*(member.name for member in MEMBERS), SITE]


def _settings(name):
    if name == SITE:
        return importlib.import_module("web.settings").Settings
    return importlib.import_module(f"services.{name}.wiring").SERVICE.settings


def _world(overlay):
    return World(rendered.overlay(overlay))


def _pods(world, name):
    return [pod for pod in world.pods if pod.kind == "Deployment" and pod.service == name]


def told(world, pod):
    """The environment of the pod's process, as Kubernetes puts it together."""
    maps = world.named("ConfigMap")
    container, found = pod.spec["containers"][0], {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {one["name"]: one.get("value", "") for one in container.get("env", [])}


def mounted(pod):
    """Where each file of a Secret stands in the pod."""
    places = {m["name"]: m["mountPath"] for m in pod.spec["containers"][0]["volumeMounts"]}
    for volume in pod.spec["volumes"]:
        sources = [*volume.get("projected", {}).get("sources", []), volume]
        for source in sources:
            for item in source.get("secret", {}).get("items", []):
                yield f"{places[volume['name']]}/{item['path']}"


@pytest.mark.parametrize("overlay", rendered.OVERLAYS)
@pytest.mark.parametrize("name", PEOPLE)
def test_a_process_is_told_what_its_settings_read(name, overlay):
    world = _world(overlay)
    fields = _settings(name).model_fields
    known = {f"CCIB_{field.upper()}" for field in fields}
    required = {f"CCIB_{field.upper()}" for field, one in fields.items() if one.is_required()}
    pods = _pods(world, name)
    assert len(pods) == (1 if name == SITE else 2)
    for pod in pods:
        ours = {variable for variable in told(world, pod) if variable.startswith("CCIB_")}
        assert ours <= known | PENDING, f"{pod.owner}: the code knows no {ours - known - PENDING}"
        assert required <= ours, f"{pod.owner}: not told {required - ours}"
        forgotten = known - ours - set(LEFT_ALONE)
        assert not forgotten, f"{pod.owner}: set {forgotten}, or say why not (LEFT_ALONE)"


@pytest.mark.parametrize("overlay", rendered.OVERLAYS)
@pytest.mark.parametrize("name", PEOPLE)
def test_the_settings_can_be_loaded_from_what_is_told(name, overlay, tmp_path, monkeypatch):
    """With the files where the manifests put them."""
    world = _world(overlay)
    for pod in _pods(world, name):
        for place in mounted(pod):
            path = tmp_path / place.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"content-of-{path.name}")
        for variable, value in told(world, pod).items():
            there = str(tmp_path) + value if value.startswith(("/run/", "/etc/")) else value
            monkeypatch.setenv(variable, there)
        settings = _settings(name).load()
        if name != SITE:
            for field, file in {
                "database_url": "database_password",
                "amqp_url": "amqp_password",
                "smtp_url": "smtp_password",
                "broker_admin_url": "broker_admin_password",
            }.items():
                if hasattr(settings, field) and file not in PENDING_SECRETS:
                    assert f":content-of-{file}@" in getattr(settings, field)


def _code(name):
    folder = rendered.REPOSITORY / ("web" if name == SITE else f"services/{name}")
    shared = [] if name == SITE else [*(rendered.REPOSITORY / "chassis").glob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*folder.rglob("*.py"), *shared])


@pytest.mark.parametrize("name", PEOPLE)
def test_every_mounted_secret_is_read_by_the_code(name):
    code = _code(name)
    for pod in _pods(_world("production"), name):
        for place in mounted(pod):
            file = Path(place).name
            if file in PENDING_SECRETS or place.startswith("/etc/"):
                continue
            composed = file.removeprefix("storage_").removesuffix("_password")
            assert f'"{file}"' in code or f'"{composed}"' in code, (
                f"{pod.owner}: nobody reads {place}"
            )


@pytest.mark.parametrize("name", PEOPLE)
def test_every_secret_that_the_code_reads_is_mounted(name):
    code = _code(name)
    read = set(re.findall(r'secret\("([\w.-]+\.[\w]+|client_secret)"\)', code))
    read |= set(re.findall(r'secrets_dir / "([\w.-]+)"', code))
    if name not in CLIENTS:
        read.discard("client_secret")  # the chassis asks for it when a service first calls another
    for pod in _pods(_world("production"), name):
        there = {Path(place).name for place in mounted(pod)}
        there |= {Path(m["mountPath"]).name for m in pod.spec["containers"][0]["volumeMounts"]}
        assert read <= there, f"{pod.owner}: {read - there} is not mounted"


@pytest.mark.parametrize("phase", ["expand", "contract"])
def test_migrations_are_told_what_they_read(phase):
    world = _world("production")
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (rendered.REPOSITORY / "chassis").glob("*.py")
    )
    jobs = [pod for pod in world.pods if pod.kind == "Job" and f"-{phase}-" in pod.owner]
    assert len(jobs) == len(MEMBERS)
    for pod in jobs:
        for variable in told(world, pod):
            field = variable.removeprefix("CCIB_").lower()
            there = f'"{variable}"' in code or f"{field}:" in code
            assert there or variable in PENDING, f"{pod.owner}: nobody reads {variable}"


def test_checks_are_told_what_the_command_reads():
    world = _world("production")
    code = "\n".join(p.read_text() for p in (rendered.REPOSITORY / "cli").rglob("*.py"))
    by_service = re.compile(
        r"CCIB_DATABASE_URL_(" + "|".join(m.name.upper() for m in MEMBERS) + ")"
    )
    for pod in world.pods:
        if pod.kind != "CronJob":
            continue
        variables = [one["name"] for one in pod.spec["containers"][0]["env"]]
        for variable in variables:
            if variable.startswith("CCIB_") and not by_service.fullmatch(variable):
                assert variable in code, f"{pod.owner}: `ccib` reads no {variable}"


def test_probes_are_answered():
    """Every path that Kubernetes asks for is a route of the code."""
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (rendered.REPOSITORY / "chassis").glob("*.py")
    )
    asked = {
        container[probe]["httpGet"]["path"]
        for pod in _world("production").pods
        for container in pod.containers
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe in container
    }
    assert asked == {"/health/started", "/health/ready", "/health/live"}
    for path in asked - PENDING_PATHS:
        assert f'"{path}"' in code, f"nobody answers {path}"


def test_what_is_pending_is_still_pending():
    """The lists above are cut as soon as the code has what they name."""
    known = {f"CCIB_{field.upper()}" for name in PEOPLE for field in _settings(name).model_fields}
    assert not PENDING & known, f"remove from PENDING: {PENDING & known}"
