"""The admission policies, as far as they can be judged without an API server: their shape, and the fields they name.

No CEL interpreter is among the locked packages: whether an expression compiles is shown by the first `kubectl apply`, which
reports type errors in the policy's status.
"""

import re

import pytest

from mlops_platform.adapters.kserve.manifests import ClusterPlace, inference_service
from mlops_platform.deployments.interfaces import RevisionSpec

from .manifests import ENVIRONMENTS, Manifest, objects, of

pytestmark = [pytest.mark.external("kubectl"), pytest.mark.parametrize("environment", ENVIRONMENTS)]


def _policies(environment: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in of(objects("policies", environment), "ValidatingAdmissionPolicy")}


def test_every_policy_is_bound_and_dev_only_warns(environment: str) -> None:
    bindings = of(objects("policies", environment), "ValidatingAdmissionPolicyBinding")
    assert {one["spec"]["policyName"] for one in bindings} == set(_policies(environment))
    for one in bindings:
        assert one["spec"]["validationActions"] == (["Warn", "Audit"] if environment == "dev" else ["Deny", "Audit"])


def test_a_policy_that_cannot_be_evaluated_refuses_and_says_why(environment: str) -> None:
    for one in _policies(environment).values():
        assert one["spec"]["failurePolicy"] == "Fail"
        assert all(validation["message"].endswith((".", "them.")) for validation in one["spec"]["validations"])


def test_expressions_are_balanced_and_start_from_what_the_api_server_gives(environment: str) -> None:
    for one in _policies(environment).values():
        found = [*one["spec"]["validations"], *one["spec"].get("matchConditions", [])]
        for expression in (entry["expression"] for entry in found):
            outside_strings = re.sub(r"'[^']*'", "''", expression)
            assert outside_strings.count("'") % 2 == 0
            for opening, closing in ("()", "[]", "{}"):
                assert outside_strings.count(opening) == outside_strings.count(closing), expression
            assert set(re.findall(r"(?<![.\w?])([a-z]\w*)\.", outside_strings)) <= {"object", "request", "c", "v"}
            # optional fields are asked for, never assumed: an error would refuse with the wrong reason
            assert not re.search(
                r"(?<!\?)\.(annotations|labels|initContainers|securityContext|volumes|hostNetwork)\b", outside_strings
            )


def _ordered(annotation: str, approval_id: str | None = None) -> str:
    """What the platform itself writes on a model's pods."""
    spec = RevisionSpec(
        revision_id="01a209e2-32a9-75eb-b55b-ff02d73ea3af",
        model_name="churn",
        version=1,
        bundle=f"s3://bundles/x/{'0' * 64}",
        environment="staging",
        tenant="fraud",
        digest="sha256:" + "a" * 64,
        approval_id=approval_id,
    )
    place = ClusterPlace(image="model-server@sha256:" + "b" * 64)
    return str(inference_service(place, spec)["spec"]["predictor"]["annotations"][f"mlops.io/{annotation}"])


def test_the_cluster_may_remove_what_is_in_a_namespace_that_goes(environment: str) -> None:
    (validation,) = _policies(environment)["mlops-who-serves"]["spec"]["validations"]
    everybody, at_deletion = validation["expression"].split("||")
    assert "request.operation == 'DELETE'" in at_deletion
    assert "namespace-controller" in at_deletion
    assert "namespace-controller" not in everybody


def test_a_bundle_is_fetched_by_an_image_with_a_digest(environment: str) -> None:
    fetchers = [one for one in objects("serving", environment) if one["kind"] == "ClusterStorageContainer"]
    assert [re.fullmatch(r".+@sha256:[0-9a-f]{64}", one["spec"]["container"]["image"]) for one in fetchers] != [None]
    assert len(fetchers) == 1


def test_what_serving_pods_must_carry_is_demanded_of_every_container(environment: str) -> None:
    text = " ".join(v["expression"] for v in _policies(environment)["mlops-approved-serving"]["spec"]["validations"])
    for word in (
        "mlops.io/approval-id",
        "mlops.io/artifact-digest",
        "@sha256:[0-9a-f]{64}$",
        "initContainers",
        "ephemeralContainers",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("pattern_of", "good", "bad"),
    [
        ("mlops.io/approval-id", "01a209e2-32aa-71a5-a8ce-a4744ff9ed18", "approved"),
        # low risk in staging needs nobody, and the platform says so
        ("mlops.io/approval-id", _ordered("approval-id", approval_id=None), ""),
        ("mlops.io/approval-id", _ordered("approval-id", approval_id="01a209e2-32aa-71a5-a8ce-a4744ff9ed18"), "none"),
        ("mlops.io/artifact-digest", _ordered("artifact-digest"), "a"),
        ("mlops.io/artifact-digest", "sha256:" + "a" * 64, "sha256:latest"),
    ],
)
def test_patterns_take_what_the_platform_writes_and_nothing_else(
    environment: str, pattern_of: str, good: str, bad: str
) -> None:
    for validation in _policies(environment)["mlops-approved-serving"]["spec"]["validations"]:
        if pattern_of in validation["expression"]:
            pattern = re.search(r"matches\('(.+)'\)", validation["expression"])
            assert pattern
            assert re.search(pattern[1], good)
            assert not re.search(pattern[1], bad)
            return
    pytest.fail(f"no policy asks for {pattern_of}")
