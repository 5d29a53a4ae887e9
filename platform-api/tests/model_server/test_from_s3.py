"""A compiled model runs in the data plane from a bundle that only S3 has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sample_models import Built
from tests.support.trust import routing_table

from mlops_platform.adapters.aws.bundles import S3Bundles
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.bundles import fetch_bundles


@pytest.fixture
def s3_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket="bundles")
    yield f"http://{host}:{port}"
    server.stop()


def test_a_published_bundle_answers_in_process_as_the_native_model_does(
    built: Any, s3_url: str, tmp_path: Path
) -> None:
    sample: Built = built("hist gradient boosting")
    address = S3Bundles("s3://bundles/x", tmp_path / "worker", s3_url).publish(sample.folder)
    live = LiveRevision(
        "sample",
        "risk",
        "staging",
        1,
        "r1",
        1,
        1.0,
        address,
        "onnx",
        "http://sample-predictor.tenant-risk-staging",
        (),
        "low",
    )
    snapshot = fetch_bundles(RoutingSnapshot(1, (live,)), S3Bundles("s3://bundles/x", tmp_path / "api", s3_url))
    target = routing_table().load(snapshot)["r1"]
    assert target.onnx is not None
    predictions, _ = target.onnx.predict([list(row) for row in sample.rows(0, 5)])
    assert predictions == pytest.approx(sample.model.predict_proba(sample.frame.head(5))[:, 1], abs=1e-5)
