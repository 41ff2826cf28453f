"""What the manifests tell a process is what its code reads, in both directions."""

import importlib
import re
from pathlib import Path

import pytest

from chassis import observing
from chassis.settings import MigrationSettings
from deploy.k8s.members import MEMBERS
from deploy.local.keys import CLIENTS, SITE
from tests.deploy.kubernetes import rendered
from tests.deploy.kubernetes.world import World

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

PASSWORDS = {
    "database_url": "database_password",
    "amqp_url": "amqp_password",
    "smtp_url": "smtp_password",
    "broker_admin_url": "broker_admin_password",
}
"""The setting that each file completes."""

SINK = "smtp://mail:1025"
"""The mail server of the overlay `local`, which asks nobody who they are."""

STORAGE = {"storage_access_key_id", "storage_secret_access_key"}

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
        assert ours <= known, f"{pod.owner}: the code knows no {ours - known}"
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
        if name == SITE:
            continue
        for field, file in PASSWORDS.items():
            if field == "smtp_url" and overlay == "local":
                assert getattr(settings, field, SINK) == SINK
            elif hasattr(settings, field):
                assert f":content-of-{file}@" in getattr(settings, field)
        assert settings.storage_credentials() == {
            "access_key_id": "content-of-storage_access_key_id",
            "secret_access_key": "content-of-storage_secret_access_key",
        }
        verified = overlay != "local"
        assert ("sslmode=verify-full" in settings.database_url) is verified
        assert settings.amqp_url.startswith("amqps://" if verified else "amqp://")


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
            # Passwords and the object store's keys are looked at by loading them, above.
            if place.startswith("/etc/") or file in {*PASSWORDS.values(), *STORAGE}:
                continue
            assert f'"{file}"' in code, f"{pod.owner}: nobody reads {place}"


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
    known = {f"CCIB_{field.upper()}" for field in MigrationSettings.model_fields}
    jobs = [pod for pod in world.pods if pod.kind == "Job" and f"-{phase}-" in pod.owner]
    assert len(jobs) == len(MEMBERS)
    for pod in jobs:
        assert set(told(world, pod)) == known, pod.owner


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
    """Every path that Kubernetes asks for is one that the operations port knows."""
    asked = {
        container[probe]["httpGet"]["path"]
        for pod in _world("production").pods
        for container in pod.containers
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe in container
    }
    code = Path(observing.__file__).read_text(encoding="utf-8")
    assert asked == set(re.findall(r'"(/health/\w+)"', code))
