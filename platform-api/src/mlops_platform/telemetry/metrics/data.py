"""Features, drift and quality of inputs."""

from prometheus_client import Counter, Gauge, Histogram

from mlops_platform.telemetry.metrics.shared import BUILD_BUCKETS, LATENCY_BUCKETS, NEWEST

# --- features
feature_views = Gauge("feature_views", "Feature views in the store.", multiprocess_mode=NEWEST)
feature_view_age_seconds = Gauge(
    "feature_view_age_seconds",
    "Time since a view was last materialised.",
    ["view"],
    multiprocess_mode=NEWEST,
)
feature_view_ttl_seconds = Gauge(
    "feature_view_ttl_seconds", "How old a view's values may be.", ["view"], multiprocess_mode=NEWEST
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
    multiprocess_mode=NEWEST,
)
feature_materializations_total = Counter(
    "feature_materializations_total", "Materialisations asked for, by result.", ["result"]
)
feature_materialization_seconds = Histogram(
    "feature_materialization_seconds", "Seconds per materialisation.", buckets=BUILD_BUCKETS
)

# --- drift and quality
model_input_drift_psi = Gauge(
    "model_input_drift_psi",
    "Population stability index of the last hour's inputs against the training sample.",
    ["model_name", "feature"],
    multiprocess_mode=NEWEST,
)
model_input_null_share = Gauge(
    "model_input_null_share",
    "Share of nulls in the last hour's inputs.",
    ["model_name", "feature"],
    multiprocess_mode=NEWEST,
)
model_input_out_of_range_share = Gauge(
    "model_input_out_of_range_share",
    "Share of the last hour's inputs outside what the training sample leads to expect.",
    ["model_name", "feature"],
    multiprocess_mode=NEWEST,
)
data_quality_score = Gauge(
    "data_quality_score",
    "Share of the last hour's input values that are present and plausible (0 to 1).",
    ["dataset"],
    multiprocess_mode=NEWEST,
)
prediction_mean = Gauge(
    "prediction_mean", "Mean of the last hour's predictions.", ["model_name"], multiprocess_mode=NEWEST
)
drift_failures_total = Counter(
    "drift_failures_total", "Times a live model's inputs could not be compared with its sample.", ["model_name"]
)
drift_rows_compared = Gauge(
    "drift_rows_compared",
    "Rows of the last hour the drift was computed from.",
    ["model_name"],
    multiprocess_mode=NEWEST,
)
drift_baseline_rows = Gauge(
    "drift_baseline_rows",
    "Rows of the training sample drift is measured against; 0 means the version has none.",
    ["model_name"],
    multiprocess_mode=NEWEST,
)
