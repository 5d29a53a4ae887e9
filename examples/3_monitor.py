"""Example 3: monitor a model's performance in Prometheus."""

import math

import requests

from workspace import find

MODEL = "model_name='customer-churn-predictor'"


def query(expression: str) -> float | None:
    """Return the result of an instant query as a number; None when Prometheus has none, or only 0/0."""
    address = find("prometheus")
    try:
        response = requests.get(f"{address}/api/v1/query", params={"query": expression}, timeout=10)
    except requests.ConnectionError:
        raise SystemExit(f"Prometheus does not answer at {address}; `mlops status` shows whether it runs.") from None
    metrics = response.json()["data"]["result"]
    value = float(metrics[0]["value"][1]) if metrics else math.nan
    return value if math.isfinite(value) else None


def p95(buckets: str) -> float | None:
    """Return the 95th percentile of request latency over a set of histogram buckets, in seconds."""
    return query(f"histogram_quantile(0.95, sum by (le) ({buckets}))")


def main() -> None:
    """Print the rate and the latency of the last five minutes; say what is not known yet, and when to look again."""
    # Query Prometheus for model metrics
    total = query(f"sum(http_requests_total{{{MODEL}}})")
    if not total:
        print(f"Request rate: {'not known yet' if total is None else '0 req/sec'}")
        print("p95 latency: not known yet: Prometheus has seen no request of this model")
        print("Run 2_features_and_predict.py, and this again ten seconds later.")
        return
    rate = query(f"sum(rate(http_requests_total{{{MODEL}}}[5m]))") or 0
    latency = p95(f"rate(http_request_duration_seconds_bucket{{{MODEL}}}[5m])")
    # a rate needs two readings of a counter, five seconds apart, with requests between them
    context = "" if rate else f" in the last five minutes ({total:.0f} requests since the API started)"
    print(f"Request rate: {rate:g} req/sec{context}")
    if latency is not None:
        print(f"p95 latency: {latency * 1000:.1f} ms")
        return
    since_start = p95(f"http_request_duration_seconds_bucket{{{MODEL}}}")
    known = "not known yet" if since_start is None else f"{since_start * 1000:.1f} ms since the API started"
    print(f"p95 latency: {known}")
    print("For the last five minutes: run 2_features_and_predict.py, and this again ten seconds later.")


if __name__ == "__main__":
    main()
