"""What is applied to a cluster is what the sources say; every pod is scraped once; every alert has a receiver."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..kubernetes.schemas import VERSIONS
from .shipped import ALERTS, GRAFANA, PROMETHEUS, load

_JOBS = [
    "prometheus",
    "kubernetes-apiservers",
    "kubernetes-nodes",
    "kubernetes-pods",
    "mlflow",
    "kserve-models",
    "platform-api",
    "node-exporter",
    "kube-state-metrics",
    "cloudwatch-exporter",
    "dcgm-exporter",
]


def _config() -> dict[str, Any]:
    return dict(yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text()))


def _objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PROMETHEUS / "prometheus-config.yaml").read_text()))


def test_the_applied_file_is_rendered_from_its_sources() -> None:
    render = load(PROMETHEUS / "render.py")
    assert (PROMETHEUS / "prometheus-config.yaml").read_text() == render.rendered(), "run `make render-monitoring`"


def test_the_rendered_rules_are_the_rules() -> None:
    maps = {found["metadata"]["name"]: found for found in _objects() if found["kind"] == "ConfigMap"}
    rendered = [
        rule
        for text in maps["prometheus-rules"]["data"].values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]
    assert [rule["alert"] for rule in rendered if "alert" in rule] == [alert.name for alert in ALERTS]


def test_the_eleven_jobs_are_there() -> None:
    assert [job["job_name"] for job in _config()["scrape_configs"]] == _JOBS


@pytest.mark.external("promtool")
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    # Debian's promtool is built without Kubernetes discovery: that part is replaced here and looked at below
    config = _config()
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("x")
    authority.write_text("")
    for place in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]:
        found = place.pop("kubernetes_sd_configs")
        assert all(entry.keys() <= {"role", "namespaces"} for entry in found)
        assert {entry["role"] for entry in found} <= {"pod", "node", "endpoints", "service"}
        place["static_configs"] = [{"targets": ["127.0.0.1:9"]}]
    text = yaml.safe_dump(config).replace("/var/run/secrets/kubernetes.io/serviceaccount/token", str(token))
    text = text.replace("/etc/prometheus/platform/token", str(token))
    text = re.sub(r"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", str(authority), text)
    text = text.replace("/etc/prometheus/rules/*.yaml", f"{PROMETHEUS}/alerts/*.yaml")
    (tmp_path / "prometheus.yml").write_text(text)
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _kept(job: dict[str, Any], labels: dict[str, str]) -> bool:
    """Apply keep and drop as Prometheus does: source labels joined by ';', the regex anchored."""
    for rule in job.get("relabel_configs", []):
        matches = bool(
            re.fullmatch(
                str(rule.get("regex", "(.*)")), ";".join(labels.get(name, "") for name in rule.get("source_labels", []))
            )
        )
        if (rule.get("action") == "keep" and not matches) or (rule.get("action") == "drop" and matches):
            return False
    return True


def _pod(
    namespace: str, port: str = "http", container: str = "main", annotated: bool = True, **labels: str
) -> dict[str, str]:
    found = {f"__meta_kubernetes_pod_label_{name}": value for name, value in labels.items()}
    found |= {"__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_container_port_name": port}
    found |= {"__meta_kubernetes_pod_container_name": container, "__meta_kubernetes_pod_phase": "Running"}
    return found | ({"__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true"} if annotated else {})


_NAME = "app_kubernetes_io_name"
_PODS = {
    "prometheus": [_pod("monitoring", **{_NAME: "prometheus"}), _pod("monitoring", **{_NAME: "alertmanager"})],
    "mlflow": [_pod("mlflow", **{_NAME: "mlflow"})],
    "kserve-models": [
        _pod(
            "tenant-risk", container="kserve-container", serving_kserve_io_inferenceservice="churn", **{_NAME: "churn"}
        )
    ],
    "platform-api": [
        _pod("mlops-platform", **{_NAME: "platform-api"}),
        _pod("mlops-platform", "metrics", **{_NAME: "platform-worker"}),
    ],
    "node-exporter": [_pod("monitoring", "metrics", **{_NAME: "prometheus-node-exporter"})],
    "kube-state-metrics": [_pod("monitoring", **{_NAME: "kube-state-metrics"})],
    "cloudwatch-exporter": [_pod("monitoring", **{_NAME: "cloudwatch-exporter"})],
    "dcgm-exporter": [_pod("gpu", "metrics", **{_NAME: "dcgm-exporter"})],
    "kubernetes-pods": [_pod("tenant-risk", "http", **{_NAME: "somebody"})],
}


@pytest.mark.parametrize(("job", "pod"), [(job, pod) for job, pods in _PODS.items() for pod in pods])
def test_every_pod_is_scraped_by_exactly_one_job(job: str, pod: dict[str, str]) -> None:
    finding = []
    for found in _config()["scrape_configs"]:
        discovery = found["kubernetes_sd_configs"][0]
        inside = discovery.get("namespaces", {}).get("names", [pod["__meta_kubernetes_namespace"]])
        if discovery["role"] == "pod" and pod["__meta_kubernetes_namespace"] in inside and _kept(found, pod):
            finding.append(found["job_name"])
    assert finding == [job]


def test_a_pod_that_does_not_ask_is_left_alone() -> None:
    jobs = {job["job_name"]: job for job in _config()["scrape_configs"]}
    assert not _kept(jobs["kubernetes-pods"], _pod("tenant-risk", annotated=False, **{_NAME: "somebody"}))


@pytest.mark.external("amtool")
def test_alertmanager_accepts_its_configuration() -> None:
    done = subprocess.run(
        ["amtool", "check-config", str(PROMETHEUS / "alertmanager.yml")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.external("amtool")
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=MLflowDown area=platform severity=critical", "pagerduty,platform-slack"),
        ("alertname=HighCPUUsage area=infrastructure severity=warning", "platform-slack"),
        ("alertname=ModelLowThroughput area=serving severity=info", "null"),
        ("alertname=HighDailyCost area=cost severity=warning", "finops-slack"),
        ("alertname=TenantBudgetSpent area=cost severity=critical", "finops-slack"),
        ("alertname=DeadMansSwitch area=monitoring severity=none", "dead-mans-switch"),
        ("alertname=Unlabelled", "platform-slack"),
    ],
)
def test_alerts_reach_whom_they_concern(labels: str, receivers: str) -> None:
    command = [
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={PROMETHEUS / 'alertmanager.yml'}",
        *labels.split(),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.strip() == receivers, done.stderr


def test_every_receiver_is_defined_and_used_and_no_key_is_inline() -> None:
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    defined = {receiver["name"] for receiver in config["receivers"]}
    used = {config["route"]["receiver"]} | {route["receiver"] for route in config["route"]["routes"]}
    assert defined == used
    text = (PROMETHEUS / "alertmanager.yml").read_text()
    assert not re.search(r"\b(routing_key|service_key|api_url|password|credentials|bearer_token):", text)
    files = set(re.findall(r"/etc/alertmanager/receivers/([\w-]+)", text))
    mounted = next(
        found for found in _objects() if found["kind"] == "StatefulSet" and found["metadata"]["name"] == "alertmanager"
    )
    assert "alertmanager-receivers" in str(mounted["spec"]["template"]["spec"]["volumes"])
    comment = next(
        line for line in (PROMETHEUS / "objects" / "alertmanager.yaml").read_text().splitlines() if "# keys:" in line
    )
    assert files == set(re.findall(r"[\w-]+(?:-key|-url)", comment))


def test_inhibitions_name_alerts_that_exist() -> None:
    names = [alert.name for alert in ALERTS]
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            pattern = matcher.split("=", 1)[1].strip(' ~"')
            assert any(re.fullmatch(pattern, name) for name in names), matcher


def test_volumes_services_and_selectors_fit_together() -> None:
    objects = _objects()
    maps = {found["metadata"]["name"] for found in objects if found["kind"] == "ConfigMap"}
    accounts = {found["metadata"]["name"] for found in objects if found["kind"] == "ServiceAccount"}
    services = {found["metadata"]["name"]: found for found in objects if found["kind"] == "Service"}
    sets = [found for found in objects if found["kind"] == "StatefulSet"]
    assert {found["metadata"]["name"]: found["spec"]["replicas"] for found in sets} == {
        "prometheus": 2,
        "alertmanager": 2,
    }
    for found in sets:
        pod = found["spec"]["template"]
        assert found["spec"]["serviceName"] in services
        assert pod["spec"]["serviceAccountName"] in accounts
        assert found["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert {volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume} <= maps
        (container,) = pod["spec"]["containers"]
        assert re.search(r":v\d+\.\d+\.\d+$", container["image"]), "pinned"
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"].keys() == {"requests", "limits"}
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        claims = {claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]}
        assert mounts == claims | {volume["name"] for volume in pod["spec"]["volumes"]}
        ports = {port["name"] for port in container["ports"]}
        for service in services.values():
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items():
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_every_object_fits_the_schema_of_the_supported_versions() -> None:
    import kubernetes_validate

    maps = [yaml.safe_load(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.yaml"))]
    exporter = yaml.safe_load_all((PROMETHEUS / "cloudwatch-exporter.yaml").read_text())
    for found in [*_objects(), *maps, *exporter]:
        for version in VERSIONS:
            kubernetes_validate.validate(found, version, strict=True)
