"""What monitoring/ ships, read once for every test here."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from mlops_platform.telemetry import metrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
GRAFANA = ROOT / "monitoring" / "grafana"
RUNBOOKS = ROOT / "docs" / "runbooks"


def load(path: Path) -> ModuleType:
    """Import a script by its path."""
    spec = importlib.util.spec_from_file_location(f"shipped_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Alert:
    """One alert and where it is written."""

    file: str
    name: str
    expr: str
    rule: dict[str, Any]


def _rules(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((PROMETHEUS / folder).glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path.name, rule


ALERTS = [Alert(file, rule["alert"], rule["expr"], rule) for file, rule in _rules("alerts")]
RECORDED = [(rule["record"], rule["expr"]) for _, rule in _rules("rules")]
BOARDS = load(GRAFANA / "generate.py").BOARDS
PANELS = [(board, panel, query.expr) for board in BOARDS for panel in board.panels for query in panel.queries]

# what others emit, and who
OUTSIDE = {
    "Prometheus": {
        "up",
        "ALERTS",
        "prometheus_rule_evaluation_failures_total",
        "prometheus_notifications_errors_total",
    },
    "Alertmanager": {"alertmanager_notifications_failed_total"},
    "node-exporter": {
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_memory_MemTotal_bytes",
        "node_filesystem_avail_bytes",
        "node_filesystem_size_bytes",
    },
    "kube-state-metrics": {
        "kube_node_status_condition",
        "kube_pod_container_status_restarts_total",
        "kube_pod_status_ready",
        "kube_pod_status_phase",
        "kube_deployment_spec_replicas",
        "kube_deployment_status_replicas_available",
        "kube_resourcequota",
        "kube_cronjob_status_last_successful_time",
    },
    "kubelet (cAdvisor)": {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_network_receive_bytes_total",
        "container_network_transmit_bytes_total",
        "container_fs_usage_bytes",
    },
    # model_server/serve/metrics.py; its own test reads them from a running server
    "model server": {
        "model_server_requests_total",
        "model_server_request_duration_seconds_bucket",
        "model_server_revocation_list_age_seconds",
    },
    "dcgm-exporter": {"DCGM_FI_DEV_GPU_UTIL"},
    "cloudwatch-exporter": {"aws_rds_cpuutilization_average"},
    "cert-manager": {"certmanager_certificate_expiration_timestamp_seconds"},
}


def emitted() -> set[str]:
    """Return every series name the platform's declaration leads to."""
    names: set[str] = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            described = metric.describe()[0]
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(described.type, ("",))
            names |= {described.name + suffix for suffix in suffixes}
    return names


_WORDS = {
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "label_replace",
    "bool",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "topk",
    "bottomk",
    "sort",
    "sort_desc",
    "rate",
    "increase",
    "irate",
    "delta",
    "histogram_quantile",
    "avg_over_time",
    "max_over_time",
    "min_over_time",
    "sum_over_time",
    "absent",
    "vector",
    "scalar",
    "time",
    "label_values",
    "Inf",
    "NaN",
}


def names_in(expr: str) -> set[str]:
    """Return the metric names of a query: words that are no keyword, label, string, number or duration."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "", expr)
    plain = re.sub(r"\{[^}]*\}", "", plain)
    plain = re.sub(r"\[[^\]]*\]", "", plain)
    plain = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", plain)
    found = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*", plain)
    return {word for word in found if word not in _WORDS}


def kebab(name: str) -> str:
    """Return an alert's name as a file name."""
    name = name.replace("MLflow", "Mlflow")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
