"""What kustomize makes of `deploy/k8s`: each overlay by stages, and each component by itself."""

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[3]
K8S = REPOSITORY / "deploy/k8s"
OVERLAYS = ("local", "staging", "production")
STAGES = ("backing", "expand", "platform", "contract")
DEMO = {"local": ("demo",)}
"""A further stage, of those overlays alone in which nobody is a real person."""

Document = dict[str, Any]

ALONE = {
    "checks": ("base/platform", "components/checks"),
    "cloudnative-pg": ("base/foundation", "components/cloudnative-pg"),
    "demo-data": ("base/foundation", "components/demo-data"),
    "external-secrets": ("base/foundation", "components/external-secrets"),
    "files": ("base/platform", "components/files"),
    "keda": ("base/platform", "components/keda"),
    "mail-sink": ("base/platform", "components/mail-sink"),
    "monitoring": ("base/platform", "components/monitoring"),
    "rabbitmq": ("base/foundation", "components/rabbitmq"),
    "recovery": (
        "base/foundation",
        "components/cloudnative-pg",
        "components/cloudnative-pg/recovery",
    ),
    "tls of checks": ("base/platform", "components/checks", "components/tls/checks"),
    "tls of migrations": ("base/migrations/expand", "components/tls/migrations"),
    "tls of the platform": ("base/platform", "components/tls/platform"),
    "traefik": ("base/platform", "components/traefik"),
}
"""Every component with the least that it needs."""


@functools.cache
def kubectl() -> str:
    """The pinned one of the development dependencies: the same kustomize everywhere."""
    return str(Path(sys.executable).with_name("kubectl"))


def kustomize(folder: Path) -> list[Document]:
    """Render; what kustomize only warns of is an error too."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    assert not done.stderr, f"{folder}: {done.stderr}"
    return [one for one in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if one]


def stages_of(name: str) -> tuple[str, ...]:
    """The stages of an overlay, in the order in which they are applied."""
    return (*STAGES, *DEMO.get(name, ()))


@functools.cache
def _rendered() -> dict[tuple[str, str], list[Document]]:
    """All stages of all overlays. Kept by the content of `deploy/k8s`: processes that share the tests
    would each render the same again.
    """
    digest = hashlib.sha256(Path(kubectl()).stat().st_size.to_bytes(8))
    for path in sorted(K8S.rglob("*")):
        if path.suffix in {".yaml", ".env"}:
            digest.update(f"{path.relative_to(K8S)}\n".encode() + path.read_bytes())
    folder = REPOSITORY / ".local" / "kubernetes-rendered"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{digest.hexdigest()}.json"
    if not kept.exists():
        for old in set(folder.glob("*.json")) - {kept}:
            old.unlink(missing_ok=True)
        stages = [f"{name}/{stage}" for name in OVERLAYS for stage in stages_of(name)]
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda stage: kustomize(K8S / "overlays" / stage), stages)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(dict(zip(stages, found, strict=True))))
        draft.replace(kept)
    stored = json.loads(kept.read_text())
    return {tuple(stage.split("/")): documents for stage, documents in stored.items()}


def overlay(name: str) -> list[Document]:
    """Everything of an overlay, all stages together, the same thing once."""
    found: dict[tuple[str, str], Document] = {}
    for stage in stages_of(name):
        for document in _rendered()[name, stage]:
            found[document["kind"], document["metadata"]["name"]] = document
    return list(found.values())


@functools.cache
def alone(component: str) -> list[Document]:
    """One component with the least that it needs."""
    base, *components = ALONE[component]
    local = REPOSITORY / ".local"
    local.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=local) as folder:
        path = Path(folder)
        relative = lambda place: os.path.relpath(K8S / place, path)  # noqa: E731
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "ccib",
            "resources": [relative(base)],
            "components": [relative(one) for one in components],
        }
        (path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return kustomize(path)


@functools.cache
def everything() -> tuple[tuple[str, Document], ...]:
    """All that is rendered anywhere, the same content once, with the place it was first seen at."""
    found: dict[str, tuple[str, Document]] = {}
    for (name, stage), documents in _rendered().items():
        for document in documents:
            key = json.dumps(document, sort_keys=True)
            place = f"{name}/{stage}: {document['kind']} {document['metadata']['name']}"
            found.setdefault(key, (place, document))
    return tuple(found.values())
