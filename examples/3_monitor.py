"""Example 3: monitor a model's performance in Prometheus."""

import requests

from workspace import PROMETHEUS


def query(expression: str) -> list:
    """Return the result of an instant query."""
    response = requests.get(f"{PROMETHEUS}/api/v1/query", params={"query": expression}, timeout=10)
    return response.json()["data"]["result"]


# Query Prometheus for model metrics
metrics = query("sum(rate(http_requests_total{model_name='customer-churn-predictor'}[5m]))")
if not metrics:
    raise SystemExit(
        "Prometheus has no requests of this model yet: run 2_features_and_predict.py, wait ten seconds, try again."
    )
print(f"Request rate: {metrics[0]['value'][1]} req/sec")

latency = query(
    "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{model_name='customer-churn-predictor'}[5m])))"
)
print(f"p95 latency: {float(latency[0]['value'][1]) * 1000:.1f} ms")
