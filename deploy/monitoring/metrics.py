"""`docs/metrics.md`, from the registry of all services: `python -m deploy.monitoring.metrics` writes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from deploy.local.layout import SERVICES

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_HEAD = """# Metrics

What `/metrics` on the operations port of every process says, beside the usual `process_…` and `python_…`.
Nothing here names a person: routes are templates, events are types, participants are kinds. A process shows what
concerns it. Gauges that need SQL are read by workers, every 15 s; with several workers take the greatest.

Written by `python -m deploy.monitoring.metrics`; a test compares it with the code.

| name | type | labels | meaning |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, order=True)
class Metric:
    """One metric as it is asked for; a histogram also answers `_bucket`, `_sum` and `_count`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def series(self) -> set[str]:
        """The names under which samples are found."""
        if self.kind != "histogram":
            return {self.name}
        return {f"{self.name}_{part}" for part in ("bucket", "sum", "count")}


def metrics() -> list[Metric]:
    """Every metric that the code of the platform declares."""
    for name in SERVICES:
        import_module(f"services.{name}.main")
    import_module("web.main")
    return sorted(_declared())


def _declared() -> Iterator[Metric]:
    # The registry has no public way to ask for labels before there is a sample.
    for collector in REGISTRY._collector_to_names:  # noqa: SLF001
        if isinstance(collector, MetricWrapperBase):
            name, kind = collector._name, collector._type  # noqa: SLF001
            yield Metric(
                name=f"{name}_total" if kind == "counter" else name,
                kind=str(kind),
                labels=tuple(collector._labelnames),  # noqa: SLF001
                meaning=collector._documentation,  # noqa: SLF001
            )


def page() -> str:
    """The page as it should be."""
    return _HEAD + "".join(
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.meaning} |\n"
        for one in metrics()
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
