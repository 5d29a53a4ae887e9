"""Approvals, models, deployments, the audit log and access."""

from prometheus_client import Counter, Gauge, Histogram

from mlops_platform.telemetry.metrics.shared import BUILD_BUCKETS, HOURS, NEWEST, WORST

# --- notices
notices_total = Counter("notices_total", "Notices that were spread to their channels, by kind.", ["kind"])
notice_deliveries_total = Counter(
    "notice_deliveries_total",
    "Copies of notices, by channel and result: sent, refused (tried again), dead, away (the channel took nothing).",
    ["channel", "result"],
)
notices_waiting = Gauge(
    "notices_waiting", "Copies of notices that wait for a channel.", ["channel"], multiprocess_mode=NEWEST
)
notices_dead = Gauge(
    "notices_dead", "Copies of notices that a channel refused for good.", ["channel"], multiprocess_mode=NEWEST
)
notice_channel_away_seconds = Gauge(
    "notice_channel_away_seconds",
    "Seconds since a channel takes nothing; 0 when it does.",
    ["channel"],
    multiprocess_mode=NEWEST,
)

# --- approvals
approvals_pending = Gauge(
    "approvals_pending", "Open requests that wait for a role.", ["role"], multiprocess_mode=NEWEST
)
approvals_oldest_pending_seconds = Gauge(
    "approvals_oldest_pending_seconds",
    "Age of the oldest open request that waits for a role; 0 without one.",
    ["role"],
    multiprocess_mode=NEWEST,
)
approvals_over_sla = Gauge(
    "approvals_over_sla",
    "Open requests that wait for a role longer than its SLA.",
    ["role"],
    multiprocess_mode=NEWEST,
)
approval_sla_seconds = Gauge(
    "approval_sla_seconds",
    "Time within which a role should decide, by the policy file.",
    ["role"],
    multiprocess_mode=NEWEST,
)
approval_requests_total = Counter(
    "approval_requests_total", "Requests for approval, by move and risk.", ["transition", "risk_level"]
)
approval_decisions_total = Counter("approval_decisions_total", "Decisions people made.", ["verdict"])
approvals_settled_total = Counter("approvals_settled_total", "Requests that were closed, by status.", ["status"])
approval_time_to_decision_seconds = Histogram(
    "approval_time_to_decision_seconds",
    "Seconds from a request to its end, by how it ended.",
    ["status"],
    buckets=HOURS,
)

revocation_list_number = Gauge(
    "revocation_list_number", "Number of the newest list of withdrawn approvals.", multiprocess_mode=NEWEST
)
revocation_list_age_seconds = Gauge(
    "revocation_list_age_seconds",
    "Age of the list of withdrawn approvals this process reads; -1 before there is one.",
    multiprocess_mode=WORST,
)
agreements_not_proven_total = Counter(
    "agreements_not_proven_total",
    "Revisions that were not started because the audit log does not prove their approval.",
)
revisions_refused = Gauge(
    "revisions_refused",
    "Revisions a process of the data plane does not serve because their approval cannot be verified, by reason.",
    ["reason"],
    multiprocess_mode=WORST,
)
deployments_review_due = Gauge(
    "deployments_review_due", "Revisions that answer and are due for review.", multiprocess_mode=NEWEST
)

# --- deployments and models
models_registered = Gauge("models_registered", "Models in the catalogue.", ["tenant"], multiprocess_mode=NEWEST)
model_versions = Gauge("model_versions", "Model versions, by stage.", ["stage"], multiprocess_mode=NEWEST)
models_in_production = Gauge(
    "models_in_production", "Models with a version that answers in production.", multiprocess_mode=NEWEST
)
deployments_live = Gauge(
    "deployments_live",
    "Deployments whose newest answering revision is of this risk.",
    ["environment", "risk_level"],
    multiprocess_mode=NEWEST,
)
deployment_revisions = Gauge(
    "deployment_revisions", "Revisions, by environment and state.", ["environment", "state"], multiprocess_mode=NEWEST
)
deployments_unreconciled = Gauge(
    "deployments_unreconciled", "Deployments whose last change the worker has not acted on.", multiprocess_mode=NEWEST
)
deployment_oldest_start_seconds = Gauge(
    "deployment_oldest_start_seconds",
    "Longest time an approved revision has been waiting to be built or to come up; 0 without one.",
    multiprocess_mode=NEWEST,
)
deployment_state_changes_total = Counter(
    "deployment_state_changes_total", "Revisions that changed their state, by the new one.", ["environment", "state"]
)
deployment_rollbacks_total = Counter(
    "deployment_rollbacks_total", "Revisions rolled back, by a gate or by a person.", ["environment", "by"]
)
deployment_operations_total = Counter(
    "deployment_operations_total", "Operations people requested (promote, pause, rollback, ...).", ["operation"]
)
kserve_list_failures_total = Counter(
    "kserve_list_failures_total", "Lists of what the cluster runs that failed.", ["kind"]
)
kserve_last_list_timestamp_seconds = Gauge(
    "kserve_last_list_timestamp_seconds",
    "When what the cluster runs was last listed (Unix seconds).",
    ["kind"],
    multiprocess_mode=NEWEST,
)
build_runs_total = Counter("build_runs_total", "Builds, by result (built, refused, error).", ["result"])
gate_runs_broken_total = Counter(
    "gate_runs_broken_total", "Measurements of a gate that broke off and are tried again.", ["gate"]
)
build_duration_seconds = Histogram("build_duration_seconds", "Seconds per build of a version.", buckets=BUILD_BUCKETS)

# --- audit and access
audit_log_events = Gauge("audit_log_events", "Events in the audit log.", multiprocess_mode=NEWEST)
audit_verification_ok = Gauge(
    "audit_verification_ok",
    "1 when the last verification found the audit log intact, 0 when it did not.",
    multiprocess_mode=NEWEST,
)
audit_last_verification_timestamp_seconds = Gauge(
    "audit_last_verification_timestamp_seconds",
    "When the whole audit log was last verified, whatever was found (Unix seconds).",
    multiprocess_mode=NEWEST,
)
audit_verification_problems = Gauge(
    "audit_verification_problems", "Problems the last verification found.", multiprocess_mode=NEWEST
)
audit_verification_seconds = Gauge(
    "audit_verification_seconds", "Seconds the last verification took.", multiprocess_mode=NEWEST
)
audit_heads_anchored_late_total = Counter(
    "audit_heads_anchored_late_total", "Signed heads that missed their anchor at commit and were anchored afterwards."
)
audit_mirror_events = Gauge(
    "audit_mirror_events",
    "Up to which event the audit mirror is complete; 0 without a mirror.",
    multiprocess_mode=NEWEST,
)
audit_mirror_complete_timestamp_seconds = Gauge(
    "audit_mirror_complete_timestamp_seconds",
    "When the mirror was last found to hold the whole audit log (Unix seconds); 0 without a mirror.",
    multiprocess_mode=NEWEST,
)
audit_mirror_conflicts_total = Counter(
    "audit_mirror_conflicts_total", "Passes that stopped because the audit log and its mirror do not agree."
)
authorization_denials_total = Counter(
    "authorization_denials_total", "Known callers refused by a policy, by action.", ["action"]
)

# start at 0 what alerts look for: a counter that first appears with value 1 shows no increase
for _environment in ("staging", "production"):
    for _by in ("gate", "person"):
        deployment_rollbacks_total.labels(_environment, _by)
for _gate in ("validate", "scan", "performance", "smoke"):
    gate_runs_broken_total.labels(_gate)
for _result in ("built", "refused", "error"):
    build_runs_total.labels(_result)
