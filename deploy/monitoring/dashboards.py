"""Grafana dashboards, made from code: `python -m deploy.monitoring.dashboards` writes them as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 2


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph: queries by their legend."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    description: str = ""


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket[5m])))"


PLATFORM = (
    Panel(
        title="Requests",
        queries={"{{service}}": "sum by (service) (rate(ccib_http_requests_total[5m]))"},
        unit="reqps",
    ),
    Panel(
        title="Errors, share of requests",
        queries={"{{service}}": "service:ccib_api_errors:ratio_rate5m"},
        unit="percentunit",
        description="Objective: 1 in 1,000 over 30 days.",
    ),
    Panel(
        title="Duration, 99th percentile",
        queries={"{{service}}": _quantile(0.99, "ccib_http_request_duration_seconds", "service")},
        unit="s",
    ),
    Panel(
        title="Slowest routes, 99th percentile",
        queries={
            "{{method}} {{route}}": "topk(10, "
            + _quantile(0.99, "ccib_http_request_duration_seconds", "service, method, route")
            + ")"
        },
        unit="s",
    ),
    Panel(
        title="Connections in use, share of the pool",
        queries={"{{service}} {{instance}}": "ccib_database_pool_in_use / ccib_database_pool_size"},
        unit="percentunit",
    ),
    Panel(
        title="Wait for a connection, 99th percentile",
        queries={"{{service}}": _quantile(0.99, "ccib_database_pool_wait_seconds", "service")},
        unit="s",
    ),
    Panel(
        title="Passwords",
        queries={
            "waiting": "sum(ccib_argon2_queue)",
            "wait, mean in s": "sum(rate(ccib_argon2_wait_seconds_sum[5m]))"
            " / sum(rate(ccib_argon2_wait_seconds_count[5m]))",
        },
    ),
    Panel(
        title="Jobs: since the last success",
        queries={
            "{{service}} {{job_name}}": "time() - max by (service, job_name)"
            " (ccib_job_last_success_timestamp_seconds)"
        },
        unit="s",
    ),
    Panel(
        title="Jobs: failures",
        queries={
            "{{service}} {{job_name}}": "sum by (service, job_name) (increase(ccib_job_failures_total[15m]))"
        },
    ),
    Panel(
        title="Restore gate closed",
        queries={"{{service}}": "max by (service) (restore_gate_closed)"},
    ),
)

BUS = (
    Panel(
        title="Age of the oldest row of the outbox",
        queries={"{{service}}": "max by (service) (outbox_oldest_age_seconds)"},
        unit="s",
    ),
    Panel(
        title="Published, by outcome",
        queries={
            "{{service}} {{outcome}}": "sum by (service, outcome)"
            " (rate(outbox_published_total[5m]))"
        },
    ),
    Panel(
        title="Parked rows of the outbox",
        queries={"{{service}}": "max by (service) (outbox_parked)"},
    ),
    Panel(
        title="Events, by what became of them",
        queries={"{{service}} {{state}}": "sum by (service, state) (rate(inbox_events_total[5m]))"},
    ),
    Panel(
        title="Handlers, 99th percentile",
        queries={"{{type}}": _quantile(0.99, "ccib_inbox_handler_duration_seconds", "type")},
        unit="s",
    ),
    Panel(
        title="Waiting and stuck events",
        queries={
            "{{service}} waiting": "max by (service) (ccib_inbox_waiting)",
            "{{service}} {{state}}": "max by (service, state) (ccib_inbox_stuck)",
        },
    ),
    Panel(
        title="Delivered again",
        queries={"{{queue}}": "sum by (queue) (rate(ccib_bus_redelivered_total[5m]))"},
    ),
    Panel(
        title="Sent to dead letters",
        queries={
            "{{queue}} {{reason}}": "sum by (queue, reason)"
            " (increase(ccib_bus_dead_lettered_total[15m]))"
        },
    ),
)

ERASURE = (
    Panel(
        title="Open erasures",
        queries={
            "open": "max(ccib_erasures_open)",
            "past the legal deadline": "max(ccib_erasures_overdue)",
        },
    ),
    Panel(
        title="Age of the oldest open erasure",
        queries={"age": "max(ccib_erasures_oldest_age_seconds)"},
        unit="s",
    ),
    Panel(
        title="Open steps",
        queries={
            "{{kind}}": "max by (kind) (ccib_erasure_steps_open)",
            "{{kind}}, overdue": "max by (kind) (ccib_erasure_steps_overdue)",
            "{{kind}}, told to the DPO": "max by (kind) (ccib_erasure_steps_escalated)",
        },
    ),
    Panel(
        title="Age of the oldest open step",
        queries={"{{kind}}": "max by (kind) (ccib_erasure_steps_oldest_age_seconds)"},
        unit="s",
        description="Objective: services within 5 min for 99.5 % of the time.",
    ),
    Panel(
        title="From request to certificate",
        queries={
            f"{share:.0%}": f"histogram_quantile({share}, sum by (le)"
            " (rate(ccib_erasure_duration_seconds_bucket[1d])))"
            for share in (0.5, 0.99)
        },
        unit="s",
    ),
    Panel(
        title="From request to each one's proof, 99th percentile",
        queries={
            "{{participant}}": "histogram_quantile(0.99, sum by (le, participant)"
            " (rate(ccib_erasure_proven_seconds_bucket[1d])))"
        },
        unit="s",
    ),
    Panel(
        title="Rehearsals: since the last one",
        queries={"{{service}}": "time() - max by (service) (ccib_rehearsal_timestamp_seconds)"},
        unit="s",
        description="Erasure tried every night with somebody who does not exist.",
    ),
    Panel(
        title="Rehearsals: columns in which something was left",
        queries={"{{service}}": "max by (service) (ccib_rehearsal_left)"},
    ),
    Panel(
        title="Answers that proved nothing",
        queries={"{{cause}}": "sum by (cause) (increase(erasure_answers_refused_total[1h]))"},
    ),
    Panel(
        title="Late events refused",
        queries={"{{service}}": "sum by (service) (increase(late_events_refused_total[1h]))"},
        description="Events about people who were erased meanwhile: refused, as they should be.",
    ),
)

DASHBOARDS: dict[str, tuple[str, Sequence[Panel]]] = {
    "platform": ("CCI Business: platform", PLATFORM),
    "bus": ("CCI Business: bus", BUS),
    "erasure": ("CCI Business: erasure", ERASURE),
}


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard as Grafana imports it; the data source is chosen there."""
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "uid": f"ccib-{name}",
        "title": title,
        "tags": ["ccib"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": panel.title,
                "description": panel.description,
                "datasource": source,
                "gridPos": {
                    "h": _HEIGHT,
                    "w": _WIDTH,
                    "x": number % _COLUMNS * _WIDTH,
                    "y": number // _COLUMNS * _HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                "targets": [
                    {
                        "refId": chr(ord("A") + place),
                        "datasource": source,
                        "expr": query,
                        "legendFormat": legend,
                    }
                    for place, (legend, query) in enumerate(panel.queries.items())
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }


def written(name: str) -> str:
    """Its file."""
    return json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for one in DASHBOARDS:
        (FOLDER / f"{one}.json").write_text(written(one), encoding="utf-8")
