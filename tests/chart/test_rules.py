"""Alerts and dashboard: of metrics that exist, and right where promtool looks."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from chart import CHART, INSECURE, ROOT, merge, metrics, only, render

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="no promtool: install Debian's prometheus")


def spec(**values):
    return only(render(merge(INSECURE, {"prometheusRule": {"enabled": True} | values})), "PrometheusRule")["spec"]


def rules():
    return [rule for group in spec()["groups"] for rule in group["rules"]]


def panels():
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    """Every expression, by where it is."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def promtool(*args):
    done = subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_metric_exists():
    known = metrics()
    assert len(known) > 30
    assert {"trailgate_grpc_calls_total", "trailgate_grpc_call_duration_seconds_bucket",
            "trailgate_queue_lost_total", "trailgate_queue_up", "trailgate_watermark_lag_seconds"} <= known
    for place, expression in expressions().items():
        used = set(re.findall(r"\btrailgate_\w+", expression))
        assert used and used <= known, place
    text = (CHART / "files/dashboard.json").read_text()
    assert set(re.findall(r"\btrailgate_\w+", text)) <= known


def test_nothing_else_is_asked():
    """What has braces behind it is a metric, and ours."""
    for place, expression in expressions().items():
        assert all(name.startswith("trailgate_") for name in re.findall(r"\b(\w+)\{", expression)), place


def test_no_placeholder_is_left():
    assert not re.search("MATCHERS|WATERMARK_LAG", yaml.safe_dump(spec()))


@needs_promtool
def test_rules_are_rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(spec()))
    assert f"{len(rules())} rules found" in promtool("check", "rules", path)


@needs_promtool
def test_the_dashboards_expressions_can_be_read(tmp_path):
    records = []
    for number, expression in enumerate(e for place, e in expressions().items() if " " in place):
        expression = expression.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$job", ".*")
        assert "$" not in expression
        records.append({"record": f"panel:{number}", "expr": expression})
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    promtool("check", "rules", path)


@needs_promtool
def test_alerts_tell_when_they_should(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec()))
    cases = tmp_path / "cases.yaml"
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), cases)
    promtool("test", "rules", cases)


def test_alerts_can_be_left_out_and_asked_elsewhere():
    names = [rule["alert"] for rule in rules()]
    changed = spec(disabled=names[:2], matchers='cluster="a"', watermarkLagSeconds=7200, runbookUrl="https://example.com/x")
    left = changed["groups"][0]["rules"]
    assert [rule["alert"] for rule in left] == names[2:]
    assert all('{cluster="a"' in rule["expr"] for rule in left)
    assert any(rule["expr"].endswith("> 7200") for rule in left)
    assert left[0]["annotations"]["runbook_url"] == f"https://example.com/x#{names[2].lower()}"


def test_every_alert_can_be_left_out():
    schema = json.loads((CHART / "values.schema.json").read_text())
    disabled = schema["properties"]["prometheusRule"]["properties"]["disabled"]
    assert disabled["items"]["enum"] == [rule["alert"] for rule in rules()]


def test_every_alert_has_a_paragraph_in_the_runbook():
    text = (ROOT / "docs/operations.md").read_text()
    assert re.findall(r"^### (Trailgate\w+)$", text, re.M) == [rule["alert"] for rule in rules()]


def test_every_panel_says_what_it_is():
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
