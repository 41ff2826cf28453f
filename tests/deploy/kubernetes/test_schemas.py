"""Every rendered resource against the schema of its kind.

Kubernetes' own kinds: strictly, by `kubernetes-validate`. Kinds of operators twice: against models that
npm carries, and strictly against the operators' own definitions where somebody has them at hand
(`CCIB_CRDS`, else `../shared/crds` beside the checkout); in the project's CI (`CI` set) they must be there.
A check that cannot be made otherwise, a registry that is away included, is told as a warning, in the
summary of the run.
"""

import copy
import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import kubernetes_validate
import pytest

from tests.deploy.kubernetes import rendered, schemas

CORE = {"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1"}

NPM = {
    "gateway.networking.k8s.io": "@kubernetes-models/gateway-api@2.0.0",
    "keda.sh": "@kubernetes-models/keda@2.0.0",
    "external-secrets.io": "@kubernetes-models/external-secrets@2.0.0",
    "monitoring.coreos.com": "@kubernetes-models/prometheus-operator@6.0.0",
    "traefik.io": "@kubernetes-models/traefik@2.0.0",
}
"""Models of custom resources, by group; they do not refuse what they do not know."""

BY_DEFINITION = {
    "gateway.networking.k8s.io",
    "keda.sh",
    "postgresql.cnpg.io",
    "rabbitmq.com",
}
"""Groups whose operators' definitions are looked for."""

ONLY_HERE = {
    "type": "object",
    "required": ["destinationPath", "s3Credentials"],
    "additionalProperties": False,
    "properties": {
        name: {}
        for name in ("destinationPath", "endpointURL", "endpointCA", "s3Credentials", "wal", "data")
    },
}
"""Of the Barman plugin's ObjectStore, `configuration`: no package carries its definition."""


class NotMadeWarning(UserWarning):
    """A check was not made."""


def _not_made(reason, *, fails_in_ci=True):
    if fails_in_ci and os.environ.get("CI"):
        pytest.fail(reason)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"NOT CHECKED: {reason}", NotMadeWarning, stacklevel=2)


def _group(document):
    return document["apiVersion"].partition("/")[0]


def _custom():
    return [(place, one) for place, one in _all() if one["apiVersion"] not in CORE]


def _all():
    alone = [
        (f"component {component}: {one['kind']} {one['metadata']['name']}", one)
        for component in ("recovery", "external-secrets", "cloudnative-pg", "rabbitmq")
        for one in rendered.alone(component)
    ]
    return [*rendered.everything(), *alone]


def _core_findings(document):
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error.message)]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"unknown kind {document['apiVersion']} {document['kind']}"]
    return []


def test_kinds_of_kubernetes_are_as_it_knows_them():
    wrong = [
        f"{place}: {finding}"
        for place, one in _all()
        if one["apiVersion"] in CORE
        for finding in _core_findings(one)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_other_kind_is_checked_somewhere():
    known = {*NPM, *BY_DEFINITION, "barmancloud.cnpg.io"}
    assert {_group(one) for _, one in _custom()} <= known


@pytest.mark.parametrize("component", rendered.ALONE)
def test_a_component_renders_by_itself(component):
    assert rendered.alone(component)


def test_misspelt_and_unknown_are_found():
    """The check of Kubernetes' kinds can fail."""
    _, deployment = next(
        (place, one) for place, one in rendered.everything() if one["kind"] == "Deployment"
    )
    misspelt = copy.deepcopy(deployment)
    misspelt["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert _core_findings(misspelt)
    assert _core_findings(deployment | {"kind": "Deploymen"})
    assert _core_findings(deployment | {"apiVersion": "apps/v2"})


# --- operators' own definitions ------------------------------------------------------------------


def _definitions():
    """The validators, or None when the folder is not there (told)."""
    folder = Path(os.environ.get("CCIB_CRDS") or rendered.REPOSITORY.parent / "shared" / "crds")
    if not folder.is_dir():
        _not_made(f"custom resources against their definitions: no folder {folder} (CCIB_CRDS)")
        return None
    return schemas.definitions(folder)


def test_custom_resources_are_as_their_operators_define_them():
    found = _definitions()
    if found is None:
        return
    wrong = []
    for place, one in _custom():
        if _group(one) not in BY_DEFINITION:
            continue
        validator = found.get((one["apiVersion"], one["kind"]))
        assert validator, f"{place}: no definition of {one['apiVersion']} {one['kind']}"
        wrong += [f"{place}: {finding}" for finding in schemas.findings(validator, one)]
        unknown = one | {"spec": one["spec"] | {"nonsense": 1}}
        assert list(schemas.findings(validator, unknown)), f"{one['kind']} takes anything"
    assert not wrong, "\n".join(wrong)


DEFINITION = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "nullable": True},
                "size": {"x-kubernetes-int-or-string": True, "type": "string"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "pod": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object", "properties": {}}},
                },
            },
        }
    },
}


@pytest.mark.parametrize(
    ("spec", "right"),
    [
        ({"name": "a", "size": 1, "free": {"x": 1}, "labels": {"x": "y"}}, True),
        ({"name": None, "size": "1Gi", "pod": {"kind": "Pod", "metadata": {"name": "x"}}}, True),
        ({"name": "a", "nam": "b"}, False),
        ({"name": "a", "size": []}, False),
        ({"name": "a", "labels": {"x": 1}}, False),
        ({"name": "a", "pod": {"kin": "Pod"}}, False),
        ({}, False),
    ],
)
def test_a_definition_refuses_what_it_does_not_declare(spec, right):
    validator = schemas.jsonschema.Draft202012Validator(schemas.strict(DEFINITION))
    assert (not list(schemas.findings(validator, {"spec": spec}))) is right


def test_the_store_of_backups_says_where():
    stores = [one for _, one in _custom() if one["kind"] == "ObjectStore"]
    assert stores
    for store in stores:
        schemas.jsonschema.validate(store["spec"]["configuration"], ONLY_HERE)


# --- models from npm -----------------------------------------------------------------------------


def _models():
    """The folder with the models, or None when they cannot be had (told)."""
    if not (shutil.which("npm") and shutil.which("node")):
        _not_made("custom resources against npm's models: no npm here", fails_in_ci=False)
        return None
    folder = rendered.REPOSITORY / ".local" / "kubernetes-models"
    wanted = "\n".join(sorted(NPM.values()))
    marker = folder / "installed"
    if not marker.exists() or marker.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                [
                    *("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"),
                    *("--prefix", str(folder), *sorted(NPM.values())),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            trouble = done.stderr[-2000:] if done.returncode else None
        except subprocess.TimeoutExpired:
            trouble = "nothing, for a minute"
        if trouble is not None:
            _not_made(
                f"custom resources against npm's models: npm says\n{trouble}", fails_in_ci=False
            )
            return None
        marker.write_text(wanted)
    return folder


def _asked(folder, documents):
    questions = []
    for one in documents:
        package = NPM[_group(one)].rpartition("@")[0]
        module = f"{package}/{one['apiVersion']}"
        questions.append({"module": module, "kind": one["kind"], "document": one})
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("validate.mjs")), str(folder)],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_custom_resources_are_as_the_models_of_npm_know_them():
    folder = _models()
    if folder is None:
        return
    asked = [(place, one) for place, one in _custom() if _group(one) in NPM]
    answers = _asked(folder, [one for _, one in asked])
    wrong = [f"{p}: {answer}" for (p, _), answer in zip(asked, answers, strict=True) if answer]
    assert not wrong, "\n".join(wrong)
    broken = []
    for kind in sorted({one["kind"] for _, one in asked}):
        one = copy.deepcopy(next(one for _, one in asked if one["kind"] == kind))
        one["spec"] = "nothing"
        broken.append(one)
    assert all(_asked(folder, broken)), "the models find no mistake"
