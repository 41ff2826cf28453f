"""Alerts fire when they should, ask for what is measured, and say what to do."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from deploy.local.layout import REPOSITORY
from deploy.monitoring import dashboards
from deploy.monitoring.metrics import metrics
from tests.monitoring.promtool import promtool

RULES = REPOSITORY / "deploy" / "monitoring" / "rules"
RUNBOOK = REPOSITORY / "docs" / "runbook" / "alerts.md"
_OURS = re.compile(
    r"(?:service:)?\b(?:ccib|outbox|inbox|restore|erasure|late_events|manifest)_[a-z0-9_]+(?::\w+)*"
)


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for name in ("recording.yaml", "alerts.yaml")
        for group in yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def measured() -> set[str]:
    """What may be asked for: metrics of the code, and what rules record."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return recorded | {name for metric in metrics() for name in metric.series}


@pytest.mark.parametrize("arguments", [("check", "rules"), ("test", "rules")], ids=" ".join)
def test_promtool_agrees(arguments: tuple[str, str]) -> None:
    names = ("tests.yaml",) if arguments[0] == "test" else ("recording.yaml", "alerts.yaml")
    done = subprocess.run(
        [promtool(), *arguments, *names], cwd=RULES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_shown_to_fire() -> None:
    cases = yaml.safe_load((RULES / "tests.yaml").read_text(encoding="utf-8"))["tests"]
    fired = {
        one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]
    }
    assert fired == {alert["alert"] for alert in alerts()}


def test_each_alert_has_its_place_in_the_runbook_and_none_is_of_the_past() -> None:
    told = re.findall(r"^## (Ccib\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"]
        place = f"docs/runbook/alerts.md#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook"] == place


def test_rules_and_dashboards_ask_for_what_is_measured() -> None:
    asked = {name for rule in rules() for name in _OURS.findall(rule["expr"])}
    asked |= {
        name
        for _, panels in dashboards.DASHBOARDS.values()
        for panel in panels
        for query in panel.queries.values()
        for name in _OURS.findall(query)
    }
    assert len(asked) > 40
    assert asked <= measured()


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_dashboards_are_what_the_code_makes(name: str) -> None:
    path = dashboards.FOLDER / f"{name}.json"
    assert path.read_text(encoding="utf-8") == dashboards.written(name), (
        "write them again: python -m deploy.monitoring.dashboards"
    )
    uid = json.loads(path.read_text(encoding="utf-8"))["uid"]
    assert uid == f"ccib-{name}"


def test_no_dashboard_is_of_the_past() -> None:
    assert {path.stem for path in dashboards.FOLDER.glob("*.json")} == set(dashboards.DASHBOARDS)
