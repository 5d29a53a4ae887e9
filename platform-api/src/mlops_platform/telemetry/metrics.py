"""Every metric the platform emits, declared once. docs/reference/metrics.md is generated from here; a test compares them."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# a gauge says how things are: of several processes the last to look is right, and what a dead process saw is forgotten
_NEWEST: Final = "livemostrecent"
# a gauge that each process has its own share of
_TOGETHER: Final = "livesum"

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
API_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HOURS = tuple(hours * 3_600.0 for hours in (0.25, 1, 4, 8, 24, 48, 72, 120, 240, 336))
_BUILD_BUCKETS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 480.0)

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
worker_last_success_timestamp_seconds = Gauge(
    "worker_last_success_timestamp_seconds",
    "When each worker job last ended without an error (Unix seconds).",
    ["worker_job"],
    multiprocess_mode=_NEWEST,
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
prediction_log_rows_total = Counter("prediction_log_rows_total", "Rows kept in the prediction log's segments.")
prediction_log_dropped_total = Counter(
    "prediction_log_dropped_total", "Answered rows that could not be logged (disk full, for example)."
)
prediction_log_moved_total = Counter("prediction_log_moved_total", "Rows moved from segments to the prediction table.")
prediction_log_pending_segments = Gauge(
    "prediction_log_pending_segments",
    "Segments not yet moved to the prediction table.",
    multiprocess_mode=_NEWEST,
)
prediction_log_lag_seconds = Gauge(
    "prediction_log_lag_seconds",
    "Age of the oldest finished segment that was not moved yet; 0 without one.",
    multiprocess_mode=_NEWEST,
)

# --- approvals
approvals_pending = Gauge(
    "approvals_pending", "Open requests that wait for a role.", ["role"], multiprocess_mode=_NEWEST
)
approvals_oldest_pending_seconds = Gauge(
    "approvals_oldest_pending_seconds",
    "Age of the oldest open request that waits for a role; 0 without one.",
    ["role"],
    multiprocess_mode=_NEWEST,
)
approvals_over_sla = Gauge(
    "approvals_over_sla",
    "Open requests that wait for a role longer than its SLA.",
    ["role"],
    multiprocess_mode=_NEWEST,
)
approval_sla_seconds = Gauge(
    "approval_sla_seconds",
    "Time within which a role should decide, by the policy file.",
    ["role"],
    multiprocess_mode=_NEWEST,
)
approval_requests_total = Counter(
    "approval_requests_total", "Requests for approval, by move and risk.", ["transition", "risk_level"]
)
approval_decisions_total = Counter("approval_decisions_total", "Decisions people made.", ["verdict"])
approvals_settled_total = Counter("approvals_settled_total", "Requests that ended, by how.", ["status"])
approval_time_to_decision_seconds = Histogram(
    "approval_time_to_decision_seconds",
    "Seconds from a request to its end, by how it ended.",
    ["status"],
    buckets=_HOURS,
)

# --- deployments and models
models_registered = Gauge("models_registered", "Models in the catalogue.", ["tenant"], multiprocess_mode=_NEWEST)
model_versions = Gauge("model_versions", "Model versions, by stage.", ["stage"], multiprocess_mode=_NEWEST)
models_in_production = Gauge(
    "models_in_production", "Models with a version that answers in production.", multiprocess_mode=_NEWEST
)
deployments_live = Gauge(
    "deployments_live",
    "Deployments whose newest answering revision is of this risk.",
    ["environment", "risk_level"],
    multiprocess_mode=_NEWEST,
)
deployment_revisions = Gauge(
    "deployment_revisions", "Revisions, by environment and state.", ["environment", "state"], multiprocess_mode=_NEWEST
)
deployments_unreconciled = Gauge(
    "deployments_unreconciled", "Deployments whose last change the worker has not acted on.", multiprocess_mode=_NEWEST
)
deployment_oldest_start_seconds = Gauge(
    "deployment_oldest_start_seconds",
    "Longest time an approved revision has been waiting to be built or to come up; 0 without one.",
    multiprocess_mode=_NEWEST,
)
deployment_state_changes_total = Counter(
    "deployment_state_changes_total", "Revisions that changed their state, by the new one.", ["environment", "state"]
)
deployment_rollbacks_total = Counter(
    "deployment_rollbacks_total", "Revisions taken back, by a gate or by a person.", ["environment", "by"]
)
deployment_operations_total = Counter(
    "deployment_operations_total", "Operations people asked for (promote, pause, rollback, ...).", ["operation"]
)
kserve_watch_restarts_total = Counter(
    "kserve_watch_restarts_total",
    "Watches of the cluster that did not end regularly (expired, disconnected, unavailable, refused, crashed).",
    ["kind", "reason"],
)
kserve_watch_last_contact_timestamp_seconds = Gauge(
    "kserve_watch_last_contact_timestamp_seconds",
    "When the cluster last told what it runs (Unix seconds); the worker acts on nothing that is older than 30 seconds.",
    ["kind"],
    multiprocess_mode=_NEWEST,
)
build_runs_total = Counter("build_runs_total", "Builds, by result (built, refused, error).", ["result"])
build_duration_seconds = Histogram("build_duration_seconds", "Seconds per build of a version.", buckets=_BUILD_BUCKETS)

# --- audit and access
audit_log_events = Gauge("audit_log_events", "Events in the audit log.", multiprocess_mode=_NEWEST)
audit_verification_ok = Gauge(
    "audit_verification_ok",
    "1 when the last verification found the audit log intact, 0 when it did not.",
    multiprocess_mode=_NEWEST,
)
audit_last_verification_timestamp_seconds = Gauge(
    "audit_last_verification_timestamp_seconds",
    "When the audit log was last verified, whatever was found (Unix seconds).",
    multiprocess_mode=_NEWEST,
)
audit_verification_problems = Gauge(
    "audit_verification_problems", "Problems the last verification found.", multiprocess_mode=_NEWEST
)
audit_verification_seconds = Gauge(
    "audit_verification_seconds", "Seconds the last verification took.", multiprocess_mode=_NEWEST
)
audit_heads_anchored_late_total = Counter(
    "audit_heads_anchored_late_total", "Signed heads that missed their anchor at commit and were anchored afterwards."
)
audit_mirror_events = Gauge(
    "audit_mirror_events",
    "Up to which event the audit mirror is complete; 0 without a mirror.",
    multiprocess_mode=_NEWEST,
)
audit_mirror_complete_timestamp_seconds = Gauge(
    "audit_mirror_complete_timestamp_seconds",
    "When the mirror was last found to hold the whole audit log (Unix seconds); 0 without a mirror.",
    multiprocess_mode=_NEWEST,
)
audit_mirror_conflicts_total = Counter(
    "audit_mirror_conflicts_total", "Passes that stopped because the audit log and its mirror do not agree."
)
authorization_denials_total = Counter(
    "authorization_denials_total", "Known callers refused by a policy, by action.", ["action"]
)

# --- features
feature_views = Gauge("feature_views", "Feature views in the store.", multiprocess_mode=_NEWEST)
feature_view_age_seconds = Gauge(
    "feature_view_age_seconds",
    "Time since a view was last materialised.",
    ["view"],
    multiprocess_mode=_NEWEST,
)
feature_view_ttl_seconds = Gauge(
    "feature_view_ttl_seconds", "How old a view's values may be.", ["view"], multiprocess_mode=_NEWEST
)
feature_retrieval_seconds = Histogram(
    "feature_retrieval_seconds",
    "Seconds per read of the online store, of requests for features and of predictions by entity id.",
    buckets=LATENCY_BUCKETS,
)
feature_retrieval_failures_total = Counter(
    "feature_retrieval_failures_total", "Reads of the online store that it did not answer."
)
feature_rows_pushed_total = Counter("feature_rows_pushed_total", "Rows pushed online.", ["view"])
feature_last_push_timestamp_seconds = Gauge(
    "feature_last_push_timestamp_seconds",
    "When a view last got pushed rows (Unix seconds).",
    ["view"],
    multiprocess_mode=_NEWEST,
)
feature_materializations_total = Counter(
    "feature_materializations_total", "Materialisations asked for, by result.", ["result"]
)
feature_materialization_seconds = Histogram(
    "feature_materialization_seconds", "Seconds per materialisation.", buckets=_BUILD_BUCKETS
)

# --- drift and quality
model_input_drift_psi = Gauge(
    "model_input_drift_psi",
    "Population stability index of the last hour's inputs against the training sample.",
    ["model_name", "feature"],
    multiprocess_mode=_NEWEST,
)
model_input_null_share = Gauge(
    "model_input_null_share",
    "Share of nulls in the last hour's inputs.",
    ["model_name", "feature"],
    multiprocess_mode=_NEWEST,
)
model_input_out_of_range_share = Gauge(
    "model_input_out_of_range_share",
    "Share of the last hour's inputs outside what the training sample leads to expect.",
    ["model_name", "feature"],
    multiprocess_mode=_NEWEST,
)
data_quality_score = Gauge(
    "data_quality_score",
    "Share of the last hour's input values that are present and plausible (0 to 1).",
    ["dataset"],
    multiprocess_mode=_NEWEST,
)
prediction_mean = Gauge(
    "prediction_mean", "Mean of the last hour's predictions.", ["model_name"], multiprocess_mode=_NEWEST
)
drift_rows_compared = Gauge(
    "drift_rows_compared",
    "Rows of the last hour the drift was computed from.",
    ["model_name"],
    multiprocess_mode=_NEWEST,
)
drift_baseline_rows = Gauge(
    "drift_baseline_rows",
    "Rows of the training sample drift is measured against; 0 means the version has none.",
    ["model_name"],
    multiprocess_mode=_NEWEST,
)

# --- what the platform stands on
platform_up = Gauge(
    "platform_up",
    "1 when a part the platform needs answered just now, else 0.",
    ["component"],
    multiprocess_mode=_NEWEST,
)
platform_probe_seconds = Gauge(
    "platform_probe_seconds", "Seconds a part took to answer.", ["component"], multiprocess_mode=_NEWEST
)
platform_build_info = Gauge(
    "platform_build_info", "Always 1; the label names the version that runs.", ["version"], multiprocess_mode=_NEWEST
)
mlflow_requests_total = Counter(
    "mlflow_requests_total", "Calls to MLflow, by outcome (ok, missing, refused, unavailable).", ["operation", "status"]
)
mlflow_request_duration_seconds = Histogram(
    "mlflow_request_duration_seconds", "Seconds per call to MLflow.", ["operation"], buckets=LATENCY_BUCKETS
)
database_pool_limit = Gauge(
    "database_pool_limit", "Connections the pools may open.", ["pool"], multiprocess_mode=_TOGETHER
)
database_pool_in_use = Gauge("database_pool_in_use", "Connections in use now.", ["pool"], multiprocess_mode=_TOGETHER)
database_connections_total = Counter("database_connections_total", "Connections opened to PostgreSQL.", ["pool"])
database_unavailable_total = Counter(
    "database_unavailable_total", "Units of work PostgreSQL did not answer, or no connection was free for.", ["pool"]
)
tls_certificate_expiry_timestamp_seconds = Gauge(
    "tls_certificate_expiry_timestamp_seconds",
    "When the certificate of an https address the platform uses ends (Unix seconds).",
    ["address"],
    multiprocess_mode=_NEWEST,
)
idempotent_replays_total = Counter(
    "idempotent_replays_total", "Writes answered from memory because their Idempotency-Key was known."
)

# a counter that is born with its first event shows no increase: those that alerts look for are there from the start
for _environment in ("staging", "production"):
    for _by in ("gate", "person"):
        deployment_rollbacks_total.labels(_environment, _by)
for _result in ("built", "refused", "error"):
    build_runs_total.labels(_result)
data_pipeline_failures_total.labels("feature-materialization")

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
