"""Feature store: fresh, fast, filled."""

from panels import Board, Panel, Query

_RETRIEVE = 'endpoint="/api/v1/features/retrieve"'

BOARD = Board(
    uid="mlops-features",
    title="Feature store",
    about="How old views are, how fast they are read, what is written.",
    panels=(
        Panel("stat", "Feature views", (Query("max(feature_views)"),), unit="none"),
        Panel(
            "stat",
            "Stale views",
            (
                Query(
                    "count(min by (view) (feature_view_age_seconds) > on (view) max by (view) (feature_view_ttl_seconds)) or vector(0)"
                ),
            ),
            unit="none",
            about="Materialised longer ago than values may be old. A pushed view can be here and be fresh.",
            steps=((1, "orange"),),
        ),
        Panel(
            "stat",
            "Reads, P99",
            (Query("histogram_quantile(0.99, sum by (le) (rate(feature_retrieval_seconds_bucket[5m])))"),),
            unit="s",
            steps=((0.01, "orange"), (0.02, "red")),
        ),
        Panel(
            "stat",
            "Failed reads, last hour",
            (Query("sum(increase(feature_retrieval_failures_total[1h]))"),),
            steps=((1, "red"),),
        ),
        Panel("graph", "Age of views", (Query("min by (view) (feature_view_age_seconds)", "{{view}}"),), unit="s"),
        Panel(
            "graph",
            "Age against time to live",
            (
                Query(
                    "min by (view) (feature_view_age_seconds) / on (view) max by (view) (feature_view_ttl_seconds)",
                    "{{view}}",
                ),
            ),
            unit="percentunit",
            steps=((1, "red"),),
        ),
        Panel(
            "graph",
            "Reads of the online store",
            (
                Query("histogram_quantile(0.5, sum by (le) (rate(feature_retrieval_seconds_bucket[5m])))", "p50"),
                Query("histogram_quantile(0.99, sum by (le) (rate(feature_retrieval_seconds_bucket[5m])))", "p99"),
            ),
            unit="s",
        ),
        Panel(
            "graph", "Reads per second", (Query("sum(rate(feature_retrieval_seconds_count[5m]))", "reads"),), unit="ops"
        ),
        Panel(
            "graph",
            "Requests for features",
            (Query(f"sum by (status) (rate(http_requests_total{{{_RETRIEVE}}}[5m]))", "{{status}}"),),
            unit="reqps",
        ),
        Panel(
            "graph",
            "Requests for features (P95)",
            (
                Query(
                    f"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{{{_RETRIEVE}}}[5m])))",
                    "p95",
                ),
            ),
            unit="s",
            steps=((0.1, "red"),),
        ),
        Panel(
            "graph",
            "Rows pushed",
            (Query("sum by (view) (rate(feature_rows_pushed_total[5m]))", "{{view}}"),),
            unit="rps",
        ),
        Panel(
            "graph",
            "Since the last push",
            (Query("time() - max by (view) (feature_last_push_timestamp_seconds)", "{{view}}"),),
            unit="s",
        ),
        Panel(
            "graph",
            "Materialisations",
            (Query("sum by (result) (increase(feature_materializations_total[1d]))", "{{result}}"),),
        ),
        Panel(
            "graph",
            "Seconds per materialisation (P90)",
            (
                Query(
                    "histogram_quantile(0.9, sum by (le) (increase(feature_materialization_seconds_bucket[1d])))", "p90"
                ),
            ),
            unit="s",
        ),
    ),
)
