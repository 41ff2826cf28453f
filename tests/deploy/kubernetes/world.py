"""An overlay as a world of pods: what is in it, and what is known from the code."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.k8s import secrets
from tests.deploy.kubernetes.rendered import Document

BY_OPERATORS = {
    "postgres-ca": {"ca.crt"},  # CloudNativePG
    "broker-ca": {"ca.crt"},  # cert-manager, or whoever makes the broker's certificate
}
"""Secrets that others make."""

_OF_OPERATORS = {
    "Cluster": lambda name: {"cnpg.io/cluster": name},
    "RabbitmqCluster": lambda name: {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "rabbitmq",
    },
}
"""Labels of the pods that operators make of a resource."""


@dataclass(frozen=True)
class Pod:
    """The pods that one resource makes."""

    owner: str
    kind: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    """Empty for those of operators."""

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    @property
    def ours(self) -> bool:
        return bool(self.spec)

    @property
    def of_the_platform(self) -> bool:
        """Runs our code; the mail sink does not."""
        return self.ours and self.labels.get("app.kubernetes.io/part-of") == "ccib"

    @property
    def service(self) -> str:
        return self.labels.get("app.kubernetes.io/name", "")


class World:
    """The documents of one overlay."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = list(documents)

    def of(self, *kinds: str) -> list[Document]:
        return [one for one in self.documents if one["kind"] in kinds]

    def named(self, kind: str) -> dict[str, Document]:
        return {one["metadata"]["name"]: one for one in self.of(kind)}

    def configuration(self) -> dict[str, Document]:
        """The ConfigMaps that processes read. Dashboards are read by Grafana, whatever their name."""
        return {
            name: one
            for name, one in self.named("ConfigMap").items()
            if "grafana_dashboard" not in one["metadata"].get("labels", {})
        }

    @functools.cached_property
    def pods(self) -> list[Pod]:
        return [pod for document in self.documents for pod in _pods(document)]

    def selected(self, selector: Mapping[str, Any]) -> list[Pod]:
        return [pod for pod in self.pods if selects(selector, pod.labels)]


def _pods(document: Document) -> Iterator[Pod]:
    kind, name, spec = document["kind"], document["metadata"]["name"], document.get("spec", {})
    if kind in {"Deployment", "Job"}:
        template = spec["template"]
    elif kind == "CronJob":
        template = spec["jobTemplate"]["spec"]["template"]
    elif kind in _OF_OPERATORS:
        yield Pod(f"{kind} {name}", kind, _OF_OPERATORS[kind](name), {})
        return
    else:
        return
    yield Pod(f"{kind} {name}", kind, template["metadata"]["labels"], template["spec"])


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """As Kubernetes matches a label selector; an empty one selects all."""
    wanted = selector.get("matchLabels", {}).items()
    if any(labels.get(key) != value for key, value in wanted):
        return False
    for one in selector.get("matchExpressions", []):
        there = one["key"] in labels
        value = labels.get(one["key"])
        holds = {
            "In": there and value in one.get("values", []),
            "NotIn": value not in one.get("values", []),
            "Exists": there,
            "DoesNotExist": not there,
        }[one["operator"]]
        if not holds:
            return False
    return True


@functools.cache
def made() -> Mapping[str, frozenset[str]]:
    """Keys of each Secret that `python -m deploy.k8s.secrets` makes."""
    asked = [*secrets.needed(), secrets.demo()]
    found = {one["metadata"]["name"]: frozenset(one["stringData"]) for one in asked}
    return found | {name: frozenset(keys) for name, keys in BY_OPERATORS.items()}


def without_hash(name: str) -> str:
    """Of a ConfigMap of a generator: `mail-h5t4b…` is `mail`."""
    return re.sub(r"-[a-z0-9]{10}$", "", name)
