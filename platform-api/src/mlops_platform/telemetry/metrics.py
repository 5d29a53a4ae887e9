"""Every metric the platform emits, declared once. docs/reference/metrics.md is generated from here; a test compares them."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
API_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

http_requests_total = Counter(
    "http_requests_total",
    "HTTP requests answered, control plane and data plane.",
    ["method", "endpoint", "status", "model_name"],
)
http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "Seconds from request to answer.",
    ["method", "endpoint", "model_name"],
    buckets=LATENCY_BUCKETS,
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

platform_api_requests_total = Counter(
    "platform_api_requests_total", "HTTP requests answered.", ["method", "endpoint", "status"]
)
platform_api_request_duration_seconds = Histogram(
    "platform_api_request_duration_seconds",
    "Seconds from request to answer.",
    ["method", "endpoint"],
    buckets=API_BUCKETS,
)
platform_api_predictions_total = Counter(
    "platform_api_predictions_total", "Prediction requests, by outcome.", ["model_name", "status"]
)
prediction_rows_total = Counter("prediction_rows_total", "Rows predicted and answered.", ["model_name"])
model_revision_requests_total = Counter(
    "model_revision_requests_total", "Prediction requests of each live revision.", ["revision", "model_name", "status"]
)
model_revision_request_duration_seconds = Histogram(
    "model_revision_request_duration_seconds",
    "Seconds per prediction request of each live revision.",
    ["revision", "model_name"],
    buckets=LATENCY_BUCKETS,
)
prediction_log_rows_total = Counter("prediction_log_rows_total", "Rows kept in the prediction log's segments.")
prediction_log_dropped_total = Counter(
    "prediction_log_dropped_total", "Answered rows that could not be logged (disk full, for example)."
)
prediction_log_moved_total = Counter("prediction_log_moved_total", "Rows moved from segments to the prediction table.")

# costs
cost_month_to_date_usd = Gauge(
    "cost_month_to_date_usd",
    "USD of this month so far, by service, tenant and model (empty: the tenant as a whole).",
    ["service", "tenant", "model"],
    multiprocess_mode="mostrecent",
)
cost_daily_usd = Gauge(
    "cost_daily_usd",
    "USD of the last whole day, by service (of today, while nothing is known of yesterday).",
    ["service"],
    multiprocess_mode="mostrecent",
)
aws_billing_estimated_charges_usd = Gauge(
    "aws_billing_estimated_charges_usd",
    "Charges of this month so far, by service: AWS's bill, or without a cloud measured use at list prices.",
    ["service"],
    multiprocess_mode="mostrecent",
)
tenant_cost_month_to_date_usd = Gauge(
    "tenant_cost_month_to_date_usd",
    "USD of this month so far, by tenant.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
tenant_budget_usd = Gauge(
    "tenant_budget_usd",
    "USD a tenant may spend in a month before people are told, from its definition.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
