"""Counting in batches tells the metrics library what counting one by one would have told it."""

import uuid

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, Counter, Histogram

from mlops_platform.predictions.recorder import EndpointRecorder, RevisionRecorder
from mlops_platform.telemetry import metrics

seconds = st.lists(
    st.floats(0, 20) | st.sampled_from(metrics.LATENCY_BUCKETS + metrics.API_BUCKETS), min_size=1, max_size=40
)


def samples(metric: Counter | Histogram, **labels: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in metric.collect()
        for sample in family.samples
        if labels.items() <= sample.labels.items() and not sample.name.endswith("_created")
    }


@given(st.lists(seconds, min_size=1, max_size=3))
def test_batches_and_single_observations_agree(batches: list[list[float]]) -> None:
    ours, theirs = f"/{uuid.uuid4()}", f"/{uuid.uuid4()}"
    recorder = EndpointRecorder("GET", ours)
    for batch in batches:
        for value in batch:
            recorder.record(200, value)
            metrics.http_request_duration_seconds.labels("GET", theirs, "").observe(value)
            metrics.platform_api_request_duration_seconds.labels("GET", theirs).observe(value)
        recorder.flush()
    recorder.flush()
    for metric in (metrics.http_request_duration_seconds, metrics.platform_api_request_duration_seconds):
        found, expected = samples(metric, endpoint=ours), samples(metric, endpoint=theirs)
        assert found.keys() == expected.keys()
        assert all(abs(found[key] - expected[key]) < 1e-9 * max(1, expected[key]) for key in expected)
    total = sum(len(batch) for batch in batches)
    assert samples(metrics.http_requests_total, endpoint=ours) == {("http_requests_total", ""): total}


def test_a_revision_is_counted_by_status_rows_and_outcome() -> None:
    model, revision = str(uuid.uuid4()), str(uuid.uuid4())
    recorder = RevisionRecorder(model, revision)
    assert samples(metrics.model_revision_requests_total, revision=revision) == {
        ("model_revision_requests_total", ""): 0
    }
    recorder.record(200, 3, 0.002)
    recorder.record(200, 1, 0.002)
    recorder.record(422, 0, 0.001)
    recorder.flush()
    counted = {
        (sample.labels["status"], sample.value)
        for family in metrics.model_revision_requests_total.collect()
        for sample in family.samples
        if sample.labels.get("revision") == revision and sample.name.endswith("_total")
    }
    assert counted == {("200", 2.0), ("422", 1.0)}
    assert samples(metrics.prediction_rows_total, model_name=model) == {("prediction_rows_total", ""): 4.0}


def test_a_models_first_request_is_an_increase() -> None:
    labels = {"method": "POST", "endpoint": "/p", "status": "200", "model_name": "not-asked-yet"}
    EndpointRecorder("POST", "/p", "not-asked-yet")
    assert REGISTRY.get_sample_value("http_requests_total", labels) == 0.0
