"""A model's variables and resources are on a list; anything else is answered 422 before it reaches a process or a cluster."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlops_platform.deployments.schemas import DeployRequest
from model_server.sandbox import environment


def _asked(**more: Any) -> DeployRequest:
    asked = {"model_name": "churn", "model_version": 1, "target_stage": "staging", "justification": "a test"}
    return DeployRequest.model_validate({**asked, **more})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENSSL_CONF", "/mnt/models/native/readme.txt"),
        ("OPENSSL_MODULES", "/mnt/models"),
        ("LD_PRELOAD", "/mnt/models/native/notes.txt"),
        ("LD_LIBRARY_PATH", "/mnt/models"),
        ("PYTHONPATH", "/mnt/models"),
        ("GCONV_PATH", "/mnt/models"),
        ("LOCPATH", "/mnt/models"),
        ("ORT_DYLIB_PATH", "/x.so"),
        ("KMP_AFFINITY", "x"),
        ("NUMBA_CACHE_DIR", "/x"),
        ("SSL_CERT_FILE", "/x"),
        ("HTTPS_PROXY", "http://evil"),
        ("MODEL_SERVER_DIGEST", "sha256:0"),
        ("MODEL_SERVER_SANDBOX", "best-effort"),
        # where a pod reads of withdrawn approvals
        ("MODEL_SERVER_APPROVAL_FOLDER", "/mnt/models"),
        ("MODEL_SERVER_REVOCATIONS_URI", "s3://mine/list"),
        ("MODEL_SERVER_S3_ENDPOINT_URL", "http://mine"),
        # names that only look like ours or like numbers
        ("MODEL_\u0053ERVER_DIGEST\u200b", "x"),
        ("OMP_NUM_THREADS", "\u0662"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://mine"),
        ("MLOPS_DATABASE_URL", "x"),
        ("MODEL_A\n", "x"),
        ("MODEL_A", "one\nMLOPS_X=two"),
        ("MODEL_A", "nul\0"),
        ("MODEL_A", "x" * 2_001),
        ("model_a", "x"),
        ("", "x"),
        ("OMP_NUM_THREADS", "$(id)"),
        ("TZ", ":/etc/shadow"),
        ("TZ", "../../secret"),
    ],
)
def test_a_variable_that_is_not_on_the_list_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        _asked(environment_vars={name: value})
    # an order from before the list reaches no process either
    assert environment.of_models({name: value}) == {}


def test_listed_variables_are_taken() -> None:
    variables = {
        "OMP_NUM_THREADS": "2",
        "TZ": "Europe/Berlin",
        "MODEL_THRESHOLD": "0.5 über alles",
        "LOG_LEVEL": "INFO",
    }
    assert _asked(environment_vars=variables).environment_vars == variables
    assert environment.of_models(variables) == variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu", "-1"),
        ("cpu", "evil; rm"),
        ("cpu", "0"),
        ("cpu", "0.0"),
        ("cpu", "1000"),
        ("cpu", "2\n"),
        ("cpu", "٢"),
        ("cpu", "NaN"),
        ("cpu", "1e3"),
        ("memory", "1"),
        ("memory", "100Ti"),
        ("memory", "-2Gi"),
        ("memory", "2Gi\n"),
        ("nvidia.com/gpu", "100000"),
        ("nvidia.com/gpu", "0.5"),
        ("x\n", "1"),
        ("hugepages-2Mi", "1Gi"),
        ("pods", "100"),
    ],
)
def test_a_resource_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        _asked(resources={name: value})


def test_honest_resources_are_taken() -> None:
    asked = {"cpu": "1.5", "memory": "2Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"}
    assert _asked(resources=asked).resources == asked
    assert _asked(resources={"cpu": "500m", "memory": "512Mi"}).resources["cpu"] == "500m"
