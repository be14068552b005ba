# SPDX-License-Identifier: Apache-2.0
"""Dashboards and alerts: every expression parses, and names metrics, labels and values that the server has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from manifests import ROOT, container, one, render, workload

from server.rpc.servicer import SERVICE
from server.sinks.metrics import Metrics

MONITORING = render("overlays/monitoring")
RULES = [rule for group in one(MONITORING, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
BOARDS = {
    name: json.loads(text)
    for document in MONITORING
    if document["kind"] == "ConfigMap"
    for name, text in document["data"].items()
}
FROM_THE_SCRAPE = {"namespace", "pod", "container", "le"}


def expressions() -> list[str]:
    """Every expression of dashboards and alerts, with Grafana's variables filled in."""
    panels = [target["expr"] for board in BOARDS.values() for panel in board["panels"] for target in panel["targets"]]
    filled = [re.sub(r"\$__rate_interval", "1m", text) for text in panels]
    return [re.sub(r"\$\w+", ".*", text) for text in filled] + [rule["expr"] for rule in RULES]


def known_series() -> dict[str, dict[str, set[str]]]:
    """The values of each label of each series that a server without GPUs offers."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in Metrics(SERVICE).registry.collect():
        found.setdefault(
            f"{family.name}_total" if family.type == "counter" else family.name, {}
        )  # there without series
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """Every choice of series in an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "args", "param"):
        inner = getattr(node, name, None)
        for each in inner if isinstance(inner, list) else [inner]:
            if each is not None and not isinstance(each, str):
                yield from selectors(each)


def chosen() -> list[promql_parser.VectorSelector]:
    """Every choice of series in all expressions."""
    return [each for text in expressions() for each in selectors(promql_parser.parse(text))]


SERIES = known_series()


def test_dashboards_are_those_of_the_panels() -> None:
    """What is checked in is what the script makes."""
    command = [sys.executable, str(ROOT / "scripts/generate_dashboards.py"), "--check"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (finished.returncode, finished.stderr)
    assert {"nas-searches.json", "nas-fleet.json", "nas-service.json"} == BOARDS.keys()


@pytest.mark.parametrize("text", expressions())
def test_expression_names_what_there_is(text: str) -> None:
    """It parses, its metrics exist, and every label and value that it asks for can occur."""
    found = list(selectors(promql_parser.parse(text)))

    assert found
    for selector in found:
        name = str(selector.name)
        assert name in SERIES or name == "up"
        for matcher in selector.matchers.matchers:
            if matcher.name in FROM_THE_SCRAPE:
                continue
            values = SERIES[name][matcher.name]
            words = matcher.value.split("|") if "~" in str(matcher.op) or "Re" in str(matcher.op) else [matcher.value]
            assert set(words) <= values


def test_an_unknown_metric_is_seen() -> None:
    """The check above would notice a metric that nobody offers, at any depth of an expression."""
    text = "sum by (pod) (rate(nas_gone_total[1m])) > 0 and on (pod) max(nas_other{a='b'})"

    assert ["nas_gone_total", "nas_other"] == [each.name for each in selectors(promql_parser.parse(text))]
    assert not {"nas_gone_total", "nas_other"} & SERIES.keys()


def test_every_metric_is_on_a_dashboard() -> None:
    """Nothing is measured that nobody sees."""
    families = {family.name for family in Metrics(SERVICE).registry.collect() if family.name.startswith("nas_")}
    seen = {re.sub(r"_(total|bucket|count|sum)$", "", str(selector.name)) for selector in chosen()}

    assert set() == families - seen


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_explain_themselves(board: dict[str, Any]) -> None:
    """Each has a title, a description, a unit and a data source that can be chosen, and none stands on another."""
    panels = board["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len(panels) == len(set(places)) == len({panel["id"] for panel in panels})
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {"${datasource}"} == {target["datasource"]["uid"] for target in panel["targets"]}
    assert ["datasource", "namespace", "pod"] == [each["name"] for each in board["templating"]["list"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_has_a_page_and_a_test(rule: dict[str, Any]) -> None:
    """Each says what happened, has a section in the runbooks, and fires in a test of promtool."""
    document, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = [heading.lower() for heading in re.findall(r"^## (\w+)$", (ROOT / document).read_text(), re.MULTILINE)]
    tests = yaml.safe_load((ROOT / "tests/monitoring/alerts.yaml").read_text())["tests"]
    texts = [each["expr"] for test in tests if test["name"] == rule["alert"] for each in test["promql_expr_test"]]

    assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert anchor == rule["alert"].lower()
    assert anchor in headings
    assert [f'count by (pod) (ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}})'] == texts


def test_prometheus_finds_the_pods() -> None:
    """The PodMonitor asks for the port by its name in the pod, and for pods by a label that they carry."""
    job = workload(render("base"))
    assert job
    monitor = one(MONITORING, "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    assert endpoint["port"] in [port["name"] for port in container(job)["ports"]]
    assert monitor["selector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert (
        len([sample for family in Metrics(SERVICE).registry.collect() for sample in family.samples])
        < monitor["sampleLimit"]
    )
