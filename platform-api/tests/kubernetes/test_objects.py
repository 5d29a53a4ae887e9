"""Every overlay builds, and every object is one the API server would take."""

import kubernetes_validate
import pytest

from .manifests import CRDS, ENVIRONMENTS, OVERLAYS, everything, name, objects, of, renderer, text
from .schemas import VERSIONS, validators

pytestmark = pytest.mark.external("kubectl")

CORE = {
    "v1",
    "apps/v1",
    "batch/v1",
    "autoscaling/v2",
    "policy/v1",
    "networking.k8s.io/v1",
    "storage.k8s.io/v1",
    "admissionregistration.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
}
# Envoy Gateway's own kinds: their definitions are not among the schemas we have, so only their build is shown
WITHOUT_SCHEMA = {
    ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy"),
    ("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"),
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
}


@pytest.mark.parametrize(("tree", "environment"), OVERLAYS)
def test_overlay_builds_and_keeps_no_placeholder(tree: str, environment: str) -> None:
    assert objects(tree, environment)
    built = text(tree, environment)
    for placeholder in (
        "api.DOMAIN",
        "*.DOMAIN",
        "mlflow.DOMAIN",
        "RDS_ENDPOINT",
        "RDS_SECRET_ARN",
        "SECRETS_PREFIX",
        "VPC_CIDR",
        "OIDC_ISSUER\n",
        "NODE_ROLE_NAME",
        "CLUSTER_NAME",
        "EFS_FILE_SYSTEM_ID",
        "@sha256:0\n",
    ):
        assert f": {placeholder}" not in built.replace('"', "").replace("'", ""), placeholder


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_core_objects_are_valid_and_know_no_other_fields(environment: str, version: str) -> None:
    found = [one for one in everything(environment) if one["apiVersion"] in CORE]
    assert len(found) > 40
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.slow
@pytest.mark.skipif(
    not CRDS.is_dir(), reason=f"not run: no custom resource definitions in {CRDS.name} (set MLOPS_CRDS)"
)
@pytest.mark.timeout(900)
def test_custom_resources_are_valid_against_their_definitions() -> None:
    known = validators(CRDS)
    seen = set()
    for environment in ENVIRONMENTS:
        for one in everything(environment):
            kind = (one["apiVersion"], one["kind"])
            if one["apiVersion"] in CORE or kind in WITHOUT_SCHEMA:
                continue
            problems = [
                f"{name(one)}: {error.json_path} {error.message[:200]}" for error in known[kind].iter_errors(one)
            ]
            assert not problems
            seen.add(one["kind"])
    assert seen >= {
        "HTTPRoute",
        "Gateway",
        "NodePool",
        "EC2NodeClass",
        "ScaledObject",
        "ExternalSecret",
        "ClusterSecretStore",
        "ClusterServingRuntime",
        "ServiceMonitor",
        "PodMonitor",
        "Certificate",
        "ClusterIssuer",
    }


def test_a_field_nobody_knows_is_refused() -> None:
    one = {**of(objects("mlflow", "dev"), "Service")[0]}
    one["spec"] = {**one["spec"], "portz": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSIONS[0], strict=True)


def test_files_the_guide_applies_are_what_the_dev_overlays_build() -> None:
    module = renderer()
    for target, folder in module.RENDERED.items():
        assert target.read_text() == module.render(folder, "dev"), f"run `make render`: {target.name} is out of date"
