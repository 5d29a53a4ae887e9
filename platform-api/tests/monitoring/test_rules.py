"""Every alert can fire and can be quiet, leads to a page, and asks for something that somebody emits."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .shipped import ALERTS, OUTSIDE, PANELS, PROMETHEUS, RECORDED, ROOT, RUNBOOKS, Alert, emitted, kebab, names_in

_ORIGINAL = {
    "HighCPUUsage": ("10m", "warning"),
    "HighMemoryUsage": ("10m", "warning"),
    "DiskSpaceLow": ("5m", "critical"),
    "ModelHighErrorRate": ("5m", "critical"),
    "ModelHighLatency": ("10m", "warning"),
    "ModelLowThroughput": ("15m", "info"),
    "MLflowDown": ("2m", "critical"),
    "MLflowHighResponseTime": ("10m", "warning"),
    "HighDailyCost": ("1h", "warning"),
    "UnusedGPUResources": ("4h", "info"),
    "DataQualityDegraded": ("15m", "warning"),
    # at first it paged for one failed pass of a job that tries again after three seconds
    "DataPipelineFailure": ("5m", "critical"),
    "PodCrashLooping": ("5m", "warning"),
    "PodNotReady": ("10m", "warning"),
    "DeploymentReplicasMismatch": ("15m", "warning"),
}
_ids = [alert.name for alert in ALERTS]


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def _promtool_tests() -> list[dict[str, Any]]:
    return [
        case
        for path in sorted((PROMETHEUS / "tests").glob("*.yaml"))
        for case in yaml.safe_load(path.read_text())["tests"]
    ]


@pytest.mark.external("promtool")
def test_rules_and_alerts_are_well_formed() -> None:
    files = [str(path) for folder in ("rules", "alerts") for path in sorted((PROMETHEUS / folder).glob("*.yaml"))]
    assert len(files) >= 10
    run("promtool", "check", "rules", *files)


@pytest.mark.slow
@pytest.mark.external("promtool")
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    run("promtool", "test", "rules", *map(str, sorted((PROMETHEUS / "tests").glob("*.yaml"))))


@pytest.mark.parametrize("alert", ALERTS, ids=_ids)
def test_every_alert_has_a_firing_and_a_quiet_case(alert: Alert) -> None:
    asked = f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}})'
    cases = [
        bool(ask["exp_samples"])
        for case in _promtool_tests()
        for ask in case["promql_expr_test"]
        if ask["expr"] == asked
    ]
    assert True in cases
    # it is meant to fire always: its silence is what is noticed
    assert False in cases or alert.name == "DeadMansSwitch"


@pytest.mark.slow
@pytest.mark.external("promtool")
# an alert that always fires is evaluated with all its annotations, hundreds of times
@pytest.mark.timeout(660)
@pytest.mark.parametrize(
    "instead",
    ["vector(0) > 1", pytest.param("vector(1)", marks=pytest.mark.whole("half a minute for the other half of it"))],
)
def test_the_cases_notice_an_alert_that_never_or_always_fires(instead: str, tmp_path: Path) -> None:
    for folder in ("rules", "alerts", "tests"):
        shutil.copytree(PROMETHEUS / folder, tmp_path / folder)
    for path in (tmp_path / "alerts").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        for group in content["groups"]:
            for rule in group["rules"]:
                rule["expr"] = instead
        path.write_text(yaml.safe_dump(content))
    files = map(str, sorted((tmp_path / "tests").glob("*.yaml")))
    done = subprocess.run(
        ["promtool", "test", "rules", *files], check=False, capture_output=True, text=True, timeout=600
    )
    noticed = set(re.findall(r'alertname=\\?"(\w+)', done.stdout + done.stderr))
    missed = {alert.name for alert in ALERTS} - noticed
    assert missed <= {"DeadMansSwitch"}


@pytest.mark.parametrize("alert", ALERTS, ids=_ids)
def test_every_alert_says_how_bad_what_and_what_to_do(alert: Alert) -> None:
    assert alert.rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert alert.rule["labels"]["area"] == alert.file.removesuffix(".yaml")
    assert alert.rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert.rule["annotations"]["runbook_url"].endswith(f"docs/runbooks/{kebab(alert.name)}.md")
    page = (RUNBOOKS / f"{kebab(alert.name)}.md").read_text()
    assert page.startswith(f"# {alert.name}\n")
    for heading in ("## Look at", "```bash", "## Do", "## Escalate"):
        assert heading in page


def test_every_page_has_an_alert_and_is_in_the_index() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    # a page without an alert says that it is a procedure
    procedures = {name for name in pages if "\nKind: procedure" in (RUNBOOKS / f"{name}.md").read_text()}
    assert pages - procedures == {kebab(alert.name) for alert in ALERTS}
    index = (RUNBOOKS / "README.md").read_text()
    assert not {name for name in pages if f"]({name}.md)" not in index}


def test_the_fifteen_known_alerts_keep_their_waiting_times_and_severities() -> None:
    shipped = {alert.name: (alert.rule.get("for"), alert.rule["labels"]["severity"]) for alert in ALERTS}
    assert {name: shipped[name] for name in _ORIGINAL} == _ORIGINAL


def test_every_name_a_rule_a_panel_or_a_page_asks_for_is_emitted_by_somebody() -> None:
    known = emitted() | set().union(*OUTSIDE.values()) | {name for name, _ in RECORDED}
    queries = [alert.expr for alert in ALERTS] + [expr for _, expr in RECORDED] + [expr for *_, expr in PANELS]
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    queries += [
        query for page in pages for query in re.findall(r"promtool query instant \S+ '([^']+)'", page.read_text())
    ]
    unknown = {name: expr for expr in queries for name in names_in(expr) if name not in known}
    assert not unknown
    asked = set().union(*(names_in(expr) for expr in queries))
    assert not set().union(*OUTSIDE.values()) - asked, "nobody asks for these: take them out of the table"


def test_names_are_found_in_queries() -> None:
    expr = 'sum by (le) (rate(a_bucket{x="b_c"}[5m])) / on (y) slo:z:rate1h and time() - min(d) > 0.5 or vector(1)'
    assert names_in(expr) == {"a_bucket", "slo:z:rate1h", "d"}


def test_a_gauge_is_never_rated_and_a_counter_always() -> None:
    """The defect of the first dashboards: rate() of a gauge means nothing, and the number a counter has reached neither."""
    rated = re.compile(r"\b(?:rate|increase|irate)\(\s*([a-zA-Z_:]\w*)")
    counters = re.compile(r"_(?:total|bucket|count|sum)$")
    for expr in [alert.expr for alert in ALERTS] + [expr for _, expr in RECORDED] + [expr for *_, expr in PANELS]:
        names = set(rated.findall(expr))
        assert all(counters.search(name) for name in names), expr
        for name in names_in(expr):
            if counters.search(name):
                assert name in names, f"{name} is a counter: {expr}"


def test_more_than_fifty_metrics_are_declared() -> None:
    declared = [
        line for line in (ROOT / "docs" / "reference" / "metrics.md").read_text().splitlines() if line.startswith("| `")
    ]
    assert len(declared) >= 50
