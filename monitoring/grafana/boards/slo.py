"""Service level objectives: what was promised, what is left."""

from panels import Board, Panel, Query

BOARD = Board(
    uid="mlops-slo",
    title="SLO",
    about="Error budgets of the platform API (99.9 %), serving (99.5 %) and features (99.9 %).",
    since="now-7d",
    panels=(
        Panel(
            "stat", "Promised", (Query("max by (slo) (slo:objective:ratio)", "{{slo}}"),), unit="percentunit", width=12
        ),
        Panel(
            "stat",
            "Budget left, 30 days",
            (
                Query(
                    "1 - max by (slo) (slo:error_ratio:rate30d) / on (slo) (1 - max by (slo) (slo:objective:ratio))",
                    "{{slo}}",
                ),
            ),
            unit="percentunit",
            width=12,
            first="red",
            steps=((0, "orange"), (0.25, "green")),
        ),
        Panel(
            "graph",
            "Burn rate, 1 hour",
            (
                Query(
                    "max by (slo) (slo:error_ratio:rate1h) / on (slo) (1 - max by (slo) (slo:objective:ratio))",
                    "{{slo}}",
                ),
            ),
            about="1 uses up the budget exactly within the month; 14.4 pages.",
            steps=((14.4, "red"),),
        ),
        Panel(
            "graph",
            "Burn rate, 6 hours",
            (
                Query(
                    "max by (slo) (slo:error_ratio:rate6h) / on (slo) (1 - max by (slo) (slo:objective:ratio))",
                    "{{slo}}",
                ),
            ),
            steps=((6, "red"),),
        ),
        Panel(
            "graph",
            "Failed requests, 5 minutes",
            (Query("max by (slo) (slo:error_ratio:rate5m)", "{{slo}}"),),
            unit="percentunit",
        ),
        Panel(
            "graph",
            "Failed requests, 1 day",
            (Query("max by (slo) (slo:error_ratio:rate1d)", "{{slo}}"),),
            unit="percentunit",
        ),
        Panel(
            "graph",
            "Platform API (P95)",
            (
                Query(
                    'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{model_name="",endpoint!~"/health|/ready|/metrics"}[5m])))',
                    "p95",
                ),
                Query(
                    "histogram_quantile(0.95, sum by (le) (rate(platform_api_request_duration_seconds_bucket[5m])))",
                    "p95 with predictions",
                ),
            ),
            unit="s",
            steps=((0.5, "red"),),
        ),
        Panel(
            "graph",
            "Server errors by endpoint",
            (
                Query(
                    'sum by (endpoint, status) (rate(platform_api_requests_total{status=~"5.."}[5m]))',
                    "{{endpoint}} {{status}}",
                ),
            ),
            unit="reqps",
        ),
    ),
)
