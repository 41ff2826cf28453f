"""Demo data and the mail server that sends nothing: in the overlay `local`, and nowhere else."""

import copy
import json

import pytest

from deploy.demo.main import Settings
from deploy.k8s import secrets
from deploy.k8s.members import MEMBERS
from tests.deploy.kubernetes import rendered, rules_pods
from tests.deploy.kubernetes.test_settings import mounted, told
from tests.deploy.kubernetes.world import World

MARKS = ("ccib-demo", "deploy.demo", "demo_password", "demo-data", "mailpit", "smtp://mail")
"""Words of which each overlay with the demo has all, and any other none."""


def _marks(documents):
    text = json.dumps(documents)
    return {mark for mark in MARKS if mark in text}


def _job():
    [pod] = [pod for pod in World(rendered.overlay("local")).pods if pod.service == "demo"]
    return pod


def test_staging_and_production_have_neither():
    assert _marks(rendered.overlay("local")) == set(MARKS)
    for name in set(rendered.OVERLAYS) - {"local"}:
        assert _marks(rendered.overlay(name)) == set(), name


@pytest.mark.parametrize("name", rendered.OVERLAYS)
def test_every_stage_of_an_overlay_is_looked_at(name):
    folders = {path.parent.name for path in (rendered.K8S / "overlays" / name).glob("*/*.yaml")}
    assert folders == {*rendered.stages_of(name), "images"}


def test_no_vault_of_a_platform_with_people_is_asked_for_its_password(tmp_path):
    assert "demo" not in {one["metadata"]["name"] for one in secrets.needed()}
    assert secrets.main([str(tmp_path)]) == 0
    assert not (tmp_path / "demo.yaml").exists()
    assert secrets.main([str(tmp_path), "--demo"]) == 0
    assert (tmp_path / "demo.yaml").stat().st_mode & 0o077 == 0


def test_the_command_can_be_loaded_from_what_is_told(tmp_path, monkeypatch):
    """With the files where the manifests put them: all that is mounted is read, and nothing else."""
    world, pod = World(rendered.overlay("local")), _job()
    variables = told(world, pod)
    assert set(variables) == {f"CCIB_{field.upper()}" for field in Settings.model_fields}
    files = {place.rpartition("/")[2] for place in mounted(pod)}
    assert files == {"demo_password", *(f"database_password_{one.name}" for one in MEMBERS)}
    for place in mounted(pod):
        path = tmp_path / place.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content-of-{path.name}")
    for variable, value in variables.items():
        there = str(tmp_path) + value if value.startswith("/run/") else value
        monkeypatch.setenv(variable, there)
    settings = Settings.load()
    assert settings.database_urls == {
        name: f"postgresql://ccib_{name}_owner:content-of-database_password_{name}"
        f"@postgres-rw:5432/ccib_{name}"
        for name in (one.name for one in MEMBERS)
    }
    assert settings.secret("demo_password") == "content-of-demo_password"


def test_its_photos_are_where_the_directory_looks():
    world = World(rendered.overlay("local"))
    [directory] = [pod for pod in world.pods if pod.owner == "Deployment directory-api"]
    assert told(world, _job())["CCIB_STORAGE_URL"] == told(world, directory)["CCIB_STORAGE_URL"]
    for pod in (_job(), directory):
        places = {
            one["name"]: one["mountPath"] for one in pod.spec["containers"][0]["volumeMounts"]
        }
        assert places["files"] == "/var/lib/ccib"


def test_it_reaches_the_databases_alone():
    policies = [
        one["spec"]
        for one in World(rendered.overlay("local")).of("NetworkPolicy")
        if one["metadata"]["name"] == "demo-data"
    ]
    [policy] = policies
    assert policy["policyTypes"] == ["Egress"]
    [[peer]] = [rule["to"] for rule in policy["egress"]]
    assert peer == {"podSelector": {"matchLabels": {"cnpg.io/cluster": "postgres"}}}
    assert [rule["ports"] for rule in policy["egress"]] == [[{"port": 5432, "protocol": "TCP"}]]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda spec: spec["containers"][0].update(image="docker.io/axllent/mailpit:latest"),
        lambda spec: spec["containers"][0].update(image="ccib-identity:v0.1.0"),
    ],
)
def test_somebody_elses_image_has_a_version_and_is_not_ours(mistake):
    broken = World(copy.deepcopy(rendered.overlay("local")))
    assert not list(rules_pods.images_bear_the_version(broken))
    mistake(broken.named("Deployment")["mail"]["spec"]["template"]["spec"])
    assert list(rules_pods.images_bear_the_version(broken))
