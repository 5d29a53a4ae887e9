"""Every metric the platform emits, declared once. docs/reference/metrics.md is generated from here; a test compares them."""

from prometheus_client import Counter, Gauge, Histogram

http_requests_total = Counter(
    "http_requests_total",
    "HTTP requests answered, control plane and data plane.",
    ["method", "endpoint", "status", "model_name"],
)
http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "Seconds from request to answer.",
    ["method", "endpoint", "model_name"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
worker_job_runs_total = Counter(
    "worker_job_runs_total", "Passes of each worker job, by result (ok, failed, busy).", ["job", "result"]
)
worker_job_seconds = Histogram("worker_job_seconds", "Seconds per pass of each worker job.", ["job"])
worker_last_success_timestamp_seconds = Gauge(
    "worker_last_success_timestamp_seconds",
    "When each worker job last ended without an error (Unix seconds).",
    ["job"],
)
audit_events_total = Counter("audit_events_total", "Audit events recorded, by action.", ["action"])
authentication_failures_total = Counter("authentication_failures_total", "Refused tokens, by reason.", ["reason"])
