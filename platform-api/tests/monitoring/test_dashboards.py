"""Dashboards are what Python says, hold the panels people know, and come without a password."""

import json

import pytest
import yaml

from .shipped import BOARDS, GRAFANA, load

_FIFTEEN = [
    ("stat", "Platform Health Status"),
    ("stat", "Total Models in Production"),
    ("stat", "Total Predictions Today"),
    ("stat", "Estimated Daily Cost"),
    ("timeseries", "Model Request Rate"),
    ("timeseries", "Model Latency (P95)"),
    ("timeseries", "Model Error Rate"),
    ("timeseries", "Infrastructure CPU Usage"),
    ("timeseries", "Infrastructure Memory Usage"),
    ("timeseries", "GPU Utilization"),
    ("timeseries", "MLflow Operations"),
    ("piechart", "Cost by Service"),
    ("bargauge", "Active Kubernetes Pods"),
    ("timeseries", "Data Quality Scores"),
    ("table", "Recent Alerts"),
]


def test_written_files_are_what_python_says_and_nothing_else() -> None:
    files = load(GRAFANA / "generate.py").files()
    for path, content in files.items():
        assert path.read_text() == content, f"run `make dashboards`: {path.name}"
    assert set(files) == {*(GRAFANA / "json").iterdir(), *(GRAFANA / "dashboards").iterdir()}


def test_the_overview_has_the_fifteen_panels() -> None:
    shown = json.loads((GRAFANA / "json" / "mlops-overview.json").read_text())
    assert shown["title"] == "MLOps Platform Overview"
    assert [(panel["type"], panel["title"]) for panel in shown["panels"]] == _FIFTEEN


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_have_a_place_of_their_own(board: object) -> None:
    shown = json.loads((GRAFANA / "json" / f"{board.uid}.json").read_text())  # type: ignore[attr-defined]
    taken: set[tuple[int, int]] = set()
    for panel in shown["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "prometheus"


def test_the_folder_that_kubectl_applies_holds_config_maps_only() -> None:
    for path in (GRAFANA / "dashboards").iterdir():
        found = yaml.safe_load(path.read_text())
        assert (path.suffix, found["kind"], found["metadata"]["labels"]["grafana_dashboard"]) == (
            ".yaml",
            "ConfigMap",
            "1",
        )
        for name, text in found["data"].items():
            assert json.loads(text)["uid"] == name.removesuffix(".json")


def test_grafana_has_no_default_password_and_finds_prometheus() -> None:
    values = yaml.safe_load((GRAFANA / "values.yaml").read_text())
    assert values["admin"]["existingSecret"]
    assert "adminPassword" not in values
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources.yaml").read_text())
    assert values["datasources"]["datasources.yaml"] == provisioned
    assert values["sidecar"]["dashboards"]["label"] == "grafana_dashboard"
