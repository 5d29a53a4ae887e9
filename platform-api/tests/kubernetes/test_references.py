"""What one object says of another is true: names, labels, ports, settings; and what grows fits where it grows."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from mlops_platform.settings import Settings

from .manifests import ENVIRONMENTS, Manifest, containers, everything, name, objects, of, templates

pytestmark = [pytest.mark.external("kubectl"), pytest.mark.parametrize("environment", ENVIRONMENTS)]
UNITS = {"m": 1e-3, "Mi": 2.0**20, "Gi": 2.0**30}


def amount(quantity: str | int) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * (UNITS[unit] if unit else 1)


def selects(labels: dict[str, str], wanted: dict[str, str]) -> bool:
    return wanted.items() <= labels.items()


def pods(found: list[Manifest], namespace: str) -> list[Manifest]:
    return [pod for one, pod in templates(found) if one["metadata"].get("namespace") == namespace]


def test_services_select_pods_that_have_the_port(environment: str) -> None:
    found = everything(environment)
    for service in of(found, "Service"):
        chosen = [
            pod
            for pod in pods(found, service["metadata"]["namespace"])
            if selects(pod["metadata"]["labels"], service["spec"]["selector"])
        ]
        assert len(chosen) == 1, name(service)
        ports = {port["name"] for container in containers(chosen[0]) for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name(service)


def test_routes_monitors_and_scalers_lead_to_something(environment: str) -> None:
    found = everything(environment)
    services = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in of(found, "Service")}
    workloads = {(w["metadata"]["namespace"], w["kind"], w["metadata"]["name"]) for w, _ in templates(found)}
    gateways = {
        (g["metadata"]["namespace"], g["metadata"]["name"]): {listener["name"] for listener in g["spec"]["listeners"]}
        for g in of(found, "Gateway")
    }
    for route in of(found, "HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            assert (
                parent["sectionName"]
                in gateways[parent.get("namespace", route["metadata"]["namespace"]), parent["name"]]
            )
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                service = services[route["metadata"]["namespace"], backend["name"]]
                assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
    for monitor in of(found, "ServiceMonitor"):
        chosen = [
            s
            for (namespace, _), s in services.items()
            if namespace == monitor["metadata"]["namespace"]
            and selects(s["metadata"].get("labels", {}), monitor["spec"]["selector"]["matchLabels"])
        ]
        assert chosen, name(monitor)
        for endpoint in monitor["spec"]["endpoints"]:
            assert all(endpoint["port"] in {port["name"] for port in s["spec"]["ports"]} for s in chosen)
    for scaler in of(found, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (scaler["metadata"]["namespace"], target["kind"], target["name"]) in workloads
    for budget in of(found, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert any(
            selects(pod["metadata"]["labels"], wanted) for pod in pods(found, budget["metadata"]["namespace"])
        ), name(budget)


def test_secrets_maps_claims_and_accounts_exist(environment: str) -> None:
    found = everything(environment)
    there = Counter((one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found)
    made = {(s["metadata"]["namespace"], s["spec"]["target"]["name"]): s for s in of(found, "ExternalSecret")}
    for one, pod in templates(found):
        namespace, spec = one["metadata"]["namespace"], pod["spec"]
        assert ("ServiceAccount", namespace, spec["serviceAccountName"]) in there, name(one)
        claims = {template["metadata"]["name"] for template in one["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        for volume in volumes.values():
            assert "configMap" not in volume or ("ConfigMap", namespace, volume["configMap"]["name"]) in there
            assert "secret" not in volume or (namespace, volume["secret"]["secretName"]) in made
            assert (
                "persistentVolumeClaim" not in volume
                or ("PersistentVolumeClaim", namespace, volume["persistentVolumeClaim"]["claimName"]) in there
            )
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= {*volumes, *claims}, name(one)
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    secret = made[namespace, reference["name"]]["spec"]
                    assert reference["key"] in secret["target"].get("template", {}).get(
                        "data", {entry["secretKey"] for entry in secret["data"]}
                    )


def test_settings_in_manifests_are_settings_of_the_platform(environment: str) -> None:
    found = objects("platform", environment)
    names = {key for one in of(found, "ConfigMap") for key in one["data"] if key.startswith("MLOPS_")}
    names |= {
        variable["name"]
        for _, pod in templates(found)
        for container in containers(pod)
        for variable in container.get("env", [])
        if variable["name"].startswith("MLOPS_")
    }
    assert "MLOPS_DATABASE_URL" in names
    assert names <= {f"MLOPS_{field.upper()}" for field in Settings.model_fields}
    values = next(one["data"] for one in of(found, "ConfigMap") if one["metadata"]["name"] == "platform-settings")
    settings = Settings(
        **{key.removeprefix("MLOPS_").lower(): value for key, value in values.items() if key.startswith("MLOPS_")}
    )
    assert settings.environment == {"dev": "development"}.get(environment, environment)
    assert settings.issuer


def test_pods_are_restricted_spread_and_probed(environment: str) -> None:
    found = everything(environment)
    for one, pod in templates(found):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] > 0
        assert security["seccompProfile"]["type"] == "RuntimeDefault"
        # the worker orders model servers; nobody else has anything to say to the API server
        assert pod["spec"]["automountServiceAccountToken"] is (name(one).endswith("platform-worker")), name(one)
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name(one)
            assert not container["image"].endswith(":latest")
            assert ":" in container["image"].rsplit("/", 1)[-1]
            assert set(container["resources"]) == {"requests", "limits"}
        if one["metadata"]["name"] in {
            "mlflow-server",
            "mlflow-door",
            "platform-api",
            "platform-data-plane",
            "platform-worker",
        }:
            assert pod["spec"]["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"
            assert "livenessProbe" in pod["spec"]["containers"][0]


def test_database_in_the_cluster_is_only_for_dev(environment: str) -> None:
    databases = [
        one
        for one, _ in templates(objects("mlflow", environment))
        if one["metadata"]["name"].startswith(("mlflow-postgres", "mlflow-backup"))
    ]
    assert len(databases) == (2 if environment == "dev" else 0)


def _largest(found: list[Manifest], namespace: str) -> Iterator[tuple[Manifest, int]]:
    """Yield each pod template with the most pods of it that can be there at once."""
    maxima = {
        s["spec"]["scaleTargetRef"]["name"]: s["spec"].get("maxReplicas", s["spec"].get("maxReplicaCount"))
        for s in of(found, "HorizontalPodAutoscaler", "ScaledObject")
    }
    for one, pod in templates(found):
        if one["metadata"]["namespace"] == namespace:
            surge = one["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
            yield pod, maxima.get(one["metadata"]["name"], one["spec"].get("replicas", 1)) + surge


@pytest.mark.parametrize("namespace", ["mlflow", "mlops-platform"])
def test_largest_scale_fits_the_quota(environment: str, namespace: str) -> None:
    found = everything(environment)
    quota = next(one for one in of(found, "ResourceQuota") if one["metadata"]["namespace"] == namespace)["spec"]["hard"]
    limits = next(one for one in of(found, "LimitRange") if one["metadata"]["namespace"] == namespace)["spec"][
        "limits"
    ][0]
    for side in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            needed = 0.0
            for pod, count in _largest(found, namespace):
                asked = [amount(container["resources"][side][resource]) for container in pod["spec"]["containers"]]
                initial = [
                    amount(container["resources"][side][resource])
                    for container in pod["spec"].get("initContainers", [])
                ]
                assert all(
                    amount(limits["min"][resource]) <= value <= amount(limits["max"][resource])
                    for value in asked + initial
                )
                needed += count * max([sum(asked), *initial])
            assert needed <= amount(quota[f"{side}.{resource}"]), (
                f"{side}.{resource}: {needed:g} of {quota[f'{side}.{resource}']}"
            )
