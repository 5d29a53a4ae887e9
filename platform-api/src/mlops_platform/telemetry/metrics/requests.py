"""Requests, predictions and the prediction log."""

from prometheus_client import Counter, Gauge, Histogram

from mlops_platform.telemetry.metrics.shared import API_BUCKETS, LATENCY_BUCKETS, NEWEST

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
    "worker_job_runs_total", "Passes of each worker job, by result (ok, failed, busy).", ["worker_job", "result"]
)
worker_job_seconds = Histogram("worker_job_seconds", "Seconds per pass of each worker job.", ["worker_job"])
worker_items_failed_total = Counter(
    "worker_items_failed_total",
    "Items (a version, a model, a segment) that a worker job left out because they failed; their neighbours went on.",
    ["worker_job"],
)
worker_items_given_up_total = Counter(
    "worker_items_given_up_total",
    "Items of a worker job that were tried as often as it is done and failed: nobody tries them again by itself.",
    ["worker_job"],
)
worker_items_failed_for_good = Gauge(
    "worker_items_failed_for_good",
    "Items of a worker job that failed for good and are still work: they wait for a person.",
    ["worker_job"],
    multiprocess_mode=NEWEST,
)
worker_last_success_timestamp_seconds = Gauge(
    "worker_last_success_timestamp_seconds",
    "When each worker job last ended without an error (Unix seconds).",
    ["worker_job"],
    multiprocess_mode=NEWEST,
)
data_pipeline_failures_total = Counter(
    "data_pipeline_failures_total",
    "Failed passes of what moves data: registry mirror, prediction log, materialisation, drift.",
    ["pipeline"],
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
revision_load_failures_total = Counter(
    "revision_load_failures_total",
    "Times a process that answers could not load a live revision; it answers 503 until it can.",
    ["model_name"],
)
prediction_log_rows_total = Counter("prediction_log_rows_total", "Rows kept in the prediction log's segments.")
prediction_log_dropped_total = Counter(
    "prediction_log_dropped_total", "Answered rows that could not be logged (disk full, for example)."
)
prediction_log_moved_total = Counter("prediction_log_moved_total", "Rows moved from segments to the prediction table.")
prediction_log_pending_segments = Gauge(
    "prediction_log_pending_segments",
    "Segments not yet moved to the prediction table.",
    multiprocess_mode=NEWEST,
)
prediction_log_lag_seconds = Gauge(
    "prediction_log_lag_seconds",
    "Age of the oldest finished segment that was not moved yet; 0 without one.",
    multiprocess_mode=NEWEST,
)

# there before the first failure, so that the first one is an increase
data_pipeline_failures_total.labels("feature-materialization")
