"""The compose file: by its specification, and against the code that it runs."""

import importlib
import json
import re
import secrets
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import check_jsonschema
import jsonschema
import pytest
import yaml

from chassis import migrations, topology
from chassis.db import engine
from chassis.settings import MigrationSettings
from deploy.compose import prepare
from deploy.images import IMAGES
from deploy.local.layout import REPOSITORY, SERVICES
from deploy.local.provision import VHOST, database, owner_role

FILE = REPOSITORY / "deploy" / "compose.yaml"
SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json"
SECRETS = "/run/secrets/ccib/"
PASSWORDS = {"database_password", "amqp_password", "smtp_password", "broker_admin_password"}
DEMO = "demo-data"
ELSEWHERE = {"CCIB_OPERATIONS_HOST", "CCIB_OPERATIONS_PORT"}
"""What the image itself says."""


@cache
def described() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "generated"
    prepare.write(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.password")}
    prepare.write(folder)  # again: what is there stays
    assert before == {path: path.read_bytes() for path in before}
    return folder


def processes() -> dict[str, tuple[Any, dict[str, Any]]]:
    """By name in the file, the settings that a process of ours reads, and its description."""
    found = {}
    for name, told in described()["services"].items():
        if not told["image"].startswith("ccib-"):
            continue
        service = name.removesuffix("-migrations").removesuffix("-worker")
        if name == DEMO:
            settings: Any = import_module("deploy.demo.main").Settings
        elif name.endswith("-migrations"):
            settings = MigrationSettings
        elif service in SERVICES:
            settings = import_module(f"services.{service}.wiring").SERVICE.settings
        else:
            settings = import_module("web.settings").Settings
        found[name] = (settings, told)
    return found


def test_it_is_what_the_specification_allows() -> None:
    # Merges and anchors are resolved by now; what begins with x- is anybody's.
    jsonschema.validate(described(), json.loads(SCHEMA.read_text()))


def test_every_service_has_an_api_a_worker_and_migrations() -> None:
    wanted = {f"{name}{what}" for name in SERVICES for what in ("", "-worker", "-migrations")}
    assert set(processes()) == wanted | {"web", DEMO}
    for name, (_, told) in processes().items():
        command = " ".join(told["command"])
        service = name.removesuffix("-migrations").removesuffix("-worker")
        module = re.search(r"services\.\w+\.\w+|web\.main|deploy\.demo\.main", command)
        assert module, command
        assert service.partition("-")[0] in module[0]
        assert importlib.util.find_spec(module[0])


@pytest.mark.parametrize("name", sorted(processes()))
def test_every_variable_is_one_that_is_read_and_all_that_is_needed_is_there(name: str) -> None:
    settings, told = processes()[name]
    fields = {f"CCIB_{field.upper()}": one for field, one in settings.model_fields.items()}
    given = set(told["environment"])
    assert given - ELSEWHERE <= set(fields)
    assert {one for one, field in fields.items() if field.is_required()} <= given


@pytest.mark.parametrize("name", sorted(processes()))
def test_every_secret_is_read_and_every_one_that_is_read_is_there(name: str) -> None:
    _, told = processes()[name]
    service = name.removesuffix("-migrations").removesuffix("-worker")
    given = {one["target"].removeprefix(SECRETS) for one in told["secrets"]}
    if name.endswith("-migrations"):
        assert given == {"database_password"}
        return
    if name == DEMO:
        assert given == {"demo_password", *(f"database_password_{one}" for one in SERVICES)}
        return
    sources = [*(REPOSITORY / "services" / service).rglob("*.py")]
    sources += [*(REPOSITORY / "chassis").glob("*.py")] if service in SERVICES else []
    sources = sources if service in SERVICES else [REPOSITORY / "web/runtime.py"]
    code = "\n".join(path.read_text() for path in sources)
    read = set(re.findall(r'(?:secrets_dir / |settings\.secret\()"([\w.]+)"', code)) | (
        {"database_password", "amqp_password"} if service in SERVICES else set()
    )
    if "broker_admin_url" in processes()[name][0].model_fields:
        read.add("broker_admin_password")
    if service in SERVICES and not _has_client(service):
        read -= {"client_secret"}
    assert {one.partition("/")[0] for one in given} == read


def _has_client(service: str) -> bool:
    from deploy.local.keys import CLIENTS

    return service in CLIENTS


def test_every_secret_that_is_named_is_made(generated: Path) -> None:
    """And readable for the users that containers run as, behind a folder that nobody else enters."""
    named = described()["secrets"]
    used = {
        one if isinstance(one, str) else one["source"]
        for told in described()["services"].values()
        for one in told.get("secrets", ())
    }
    assert set(named) == used
    for one in named.values():
        path = generated / one["file"].removeprefix("./compose/generated/")
        assert path.stat().st_mode & 0o004, path
    assert generated.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", sorted(described()["services"]))
def test_a_container_may_do_little(name: str) -> None:
    told = described()["services"][name]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert not told["user"].startswith("0")
    assert ("ports" in told) == (name == "gateway")
    assert "privileged" not in told


@pytest.mark.parametrize("name", sorted(described()["services"]))
def test_an_image_has_a_version(name: str) -> None:
    image = described()["services"][name]["image"]
    version = re.sub(r"\$\{\w+:-(.*)\}", r"\1", image).rpartition(":")[2]
    assert re.search(r"\d+\.\d+", version), image
    assert "latest" not in image


def test_what_is_built_is_what_is_run() -> None:
    for name, (_, told) in processes().items():
        [image] = [one for one in IMAGES if told["image"].startswith(f"{one.name}:")]
        if build := told.get("build"):
            arguments = build["args"]
            assert arguments["SERVICE"] == image.service
            assert arguments.get("FOLDER", f"services/{image.service}") == image.folder, name
            assert arguments.get("IMPORTS", "contracts") == image.imports, name


def test_everybody_waits_for_what_they_need() -> None:
    for name, (_, told) in processes().items():
        waits = {one: how["condition"] for one, how in told["depends_on"].items()}
        if name in {"web", DEMO}:
            assert waits == dict.fromkeys(SERVICES, "service_healthy")
        elif name.endswith("-migrations"):
            assert waits == {"postgres": "service_healthy"}
        else:
            service = name.removesuffix("-worker")
            assert waits == {
                f"{service}-migrations": "service_completed_successfully",
                "rabbitmq": "service_healthy",
            }


def test_the_demo_comes_when_it_is_asked_for_once_and_as_the_owners(
    generated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file tells it can be loaded, with the files that `prepare` makes."""
    settings, told = processes()[DEMO]
    profiles = {name: one.get("profiles") for name, one in described()["services"].items()}
    assert [name for name, one in profiles.items() if one == ["demo"]] == [DEMO, "mail"]
    assert told["restart"] == "no"
    mounts = {one["target"]: described()["secrets"][one["source"]] for one in told["secrets"]}
    for target, source in mounts.items():
        made = generated / source["file"].removeprefix("./compose/generated/")
        path = generated / "mounted" / Path(target).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made.read_bytes())
    for variable, value in told["environment"].items():
        given = re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        monkeypatch.setenv(variable, given.replace(SECRETS[:-1], str(generated / "mounted")))
    loaded = settings.load()
    owners = {name: (generated / f"secrets/{name}.owner.password").read_text() for name in SERVICES}
    assert loaded.database_urls == {
        name: f"postgresql://{owner_role(name)}:{word}@postgres:5432/{database(name)}"
        for name, word in owners.items()
    }
    assert loaded.secret("demo_password") == (generated / "secrets/demo.password").read_text()
    # Its files and those of the directory are the same.
    volumes = described()["services"]["directory"]["volumes"]
    assert set(told["volumes"]) <= set(volumes)
    assert (
        told["environment"]["CCIB_STORAGE_URL"]
        == (described()["services"]["directory"]["environment"]["CCIB_STORAGE_URL"])
    )


def test_the_broker_gets_what_the_code_declares(generated: Path) -> None:
    made = json.loads((generated / "definitions.json").read_text())
    services = {name: import_module(f"services.{name}.wiring").SERVICE for name in SERVICES}
    wanted = topology.definitions(
        vhost=VHOST,
        passwords=dict.fromkeys(SERVICES, "x"),
        consumes={name: list(one.handlers) for name, one in services.items()},
    )
    for kind in ("vhosts", "exchanges", "queues", "bindings", "policies", "topic_permissions"):
        assert made[kind] == wanted[kind]
    assert [one["name"] for one in made["users"]] == [*SERVICES, "admin"]
    assert [one["name"] for one in made["users"] if one["tags"]] == ["admin"]


def test_the_gateway_leads_to_the_services_of_the_file(generated: Path) -> None:
    static = json.loads((generated / "gateway" / "traefik.yaml").read_text())
    routes = json.loads((generated / "gateway" / "routes.yaml").read_text())["http"]
    assert static["providers"]["file"]["filename"] == "/etc/traefik/routes.yaml"
    assert static["entryPoints"]["public"]["address"] == ":8000"
    at = {
        name: one["loadBalancer"]["servers"][0]["url"] for name, one in routes["services"].items()
    }
    assert at == {name: f"http://{name}:8080" for name in (*SERVICES, "web")}
    assert set(at) <= set(described()["services"])


def test_prometheus_asks_every_process() -> None:
    told = yaml.safe_load((REPOSITORY / "deploy/compose/prometheus.yaml").read_text())
    [asked] = told["scrape_configs"][0]["static_configs"]
    running = {name for name in processes() if not name.endswith(("-migrations", DEMO))}
    assert set(asked["targets"]) == {f"{name}:9090" for name in running}
    # Without it CcibDown would never fire here.
    assert asked["labels"] == {"namespace": "ccib"}
    [broker] = told["scrape_configs"][1]["static_configs"]
    assert broker == {"targets": ["rabbitmq:15692"], "labels": {"namespace": "ccib"}}


async def test_the_sql_makes_databases_that_the_migrations_take(servers: SimpleNamespace) -> None:
    mark = f"c{secrets.token_hex(4)}"
    admin = await asyncpg.connect(servers.postgres_url)
    try:
        for statement in prepare.roles({mark: "one"}, {mark: "two"}):
            await admin.execute(statement)
        place = servers.postgres_url.rpartition("@")[2].partition("/")[0]
        opened = engine(f"postgresql://ccib_{mark}_owner:two@{place}/ccib_{mark}")
        async with opened.begin() as connection:
            await migrations.rights.check(connection, f"ccib_{mark}")
        await opened.dispose()
        service = await asyncpg.connect(f"postgresql://ccib_{mark}:one@{place}/ccib_{mark}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("CREATE TABLE public.x ()")
        await service.close()
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "ccib_{mark}" WITH (FORCE)')
        await admin.execute(f'DROP ROLE IF EXISTS "ccib_{mark}", "ccib_{mark}_owner"')
        await admin.close()
