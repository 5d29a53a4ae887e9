"""What the platform stands on."""

from prometheus_client import Counter, Gauge, Histogram

from mlops_platform.telemetry.metrics.shared import LATENCY_BUCKETS, NEWEST, TOGETHER

platform_up = Gauge(
    "platform_up",
    "1 when a part the platform needs answered just now, else 0.",
    ["component"],
    multiprocess_mode=NEWEST,
)
platform_probe_seconds = Gauge(
    "platform_probe_seconds", "Seconds a part took to answer.", ["component"], multiprocess_mode=NEWEST
)
platform_build_info = Gauge(
    "platform_build_info", "Always 1; the label names the version that runs.", ["version"], multiprocess_mode=NEWEST
)
mlflow_requests_total = Counter(
    "mlflow_requests_total", "Calls to MLflow, by outcome (ok, missing, refused, unavailable).", ["operation", "status"]
)
mlflow_request_duration_seconds = Histogram(
    "mlflow_request_duration_seconds", "Seconds per call to MLflow.", ["operation"], buckets=LATENCY_BUCKETS
)
database_pool_limit = Gauge(
    "database_pool_limit", "Connections the pools may open.", ["pool"], multiprocess_mode=TOGETHER
)
database_pool_in_use = Gauge("database_pool_in_use", "Connections in use now.", ["pool"], multiprocess_mode=TOGETHER)
database_connections_total = Counter("database_connections_total", "Connections opened to PostgreSQL.", ["pool"])
database_retries_total = Counter(
    "database_retries_total", "Writes done again because they met another in the database."
)
database_unavailable_total = Counter(
    "database_unavailable_total", "Units of work PostgreSQL did not answer, or no connection was free for.", ["pool"]
)
tls_certificate_expiry_timestamp_seconds = Gauge(
    "tls_certificate_expiry_timestamp_seconds",
    "When the certificate of an https address the platform uses ends (Unix seconds).",
    ["address"],
    multiprocess_mode=NEWEST,
)
backup_newest_timestamp_seconds = Gauge(
    "backup_newest_timestamp_seconds",
    "When the newest finished backup at MLOPS_BACKUP_URI was begun (Unix seconds); 0 when there is none.",
    ["place"],
    multiprocess_mode=NEWEST,
)
backup_restore_test_timestamp_seconds = Gauge(
    "backup_restore_test_timestamp_seconds",
    "When a backup at MLOPS_BACKUP_URI was last restored for a test and all was there (Unix seconds); 0 when never.",
    ["place"],
    multiprocess_mode=NEWEST,
)
idempotent_replays_total = Counter(
    "idempotent_replays_total", "Writes answered from memory because their Idempotency-Key was known."
)
mlflow_door_requests_total = Counter(
    "mlflow_door_requests_total", "Requests at the door of MLflow, by the permission they need.", ["access", "status"]
)
mlflow_door_request_duration_seconds = Histogram(
    "mlflow_door_request_duration_seconds",
    "Seconds from request to the end of the answer at the door of MLflow, MLflow's own time included.",
    ["access"],
    buckets=LATENCY_BUCKETS,
)
