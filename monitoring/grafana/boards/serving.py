"""Model serving: each model and revision, and the way there."""

from panels import Board, Panel, Query

_M = 'model_name=~"$model"'

BOARD = Board(
    uid="mlops-serving",
    title="Model serving",
    about="How live models answer, revision by revision, and what is on its way.",
    variables=(("model", "label_values(http_requests_total, model_name)"),),
    panels=(
        Panel(
            "stat",
            "Live deployments",
            (Query("sum by (environment) (max by (environment, risk_level) (deployments_live))", "{{environment}}"),),
        ),
        Panel("stat", "Predictions, last hour", (Query(f"sum(increase(prediction_rows_total{{{_M}}}[1h]))"),)),
        Panel(
            "stat",
            "Rolled back, last day",
            (Query("sum by (by) (increase(deployment_rollbacks_total[1d]))", "{{by}}"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "stat",
            "Waiting for the worker",
            (Query("max(deployments_unreconciled)"),),
            about="Deployments whose last change was not acted on yet.",
            steps=((3, "orange"),),
        ),
        Panel(
            "graph",
            "Requests",
            (
                Query(
                    f'sum by (model_name, status) (rate(http_requests_total{{{_M},model_name!=""}}[5m]))',
                    "{{model_name}} {{status}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "graph",
            "Latency",
            (
                Query(f"model_name:http_request_duration_seconds:p95_5m{{{_M}}}", "{{model_name}} p95"),
                Query(f"model_name:http_request_duration_seconds:p99_5m{{{_M}}}", "{{model_name}} p99"),
            ),
            unit="s",
            steps=((0.2, "orange"), (1, "red")),
        ),
        Panel(
            "graph",
            "Requests by revision",
            (
                Query(
                    f"sum by (model_name, revision, status) (rate(model_revision_requests_total{{{_M}}}[5m]))",
                    "{{model_name}} {{revision}} {{status}}",
                ),
            ),
            unit="reqps",
            about="What rollouts are judged by.",
        ),
        Panel(
            "graph",
            "P99 by revision",
            (
                Query(
                    f"histogram_quantile(0.99, sum by (model_name, revision, le) (rate(model_revision_request_duration_seconds_bucket{{{_M}}}[5m])))",
                    "{{model_name}} {{revision}}",
                ),
            ),
            unit="s",
            steps=((0.1, "red"),),
        ),
        Panel(
            "graph",
            "Rows answered",
            (Query(f"sum by (model_name) (rate(prediction_rows_total{{{_M}}}[5m]))", "{{model_name}}"),),
            unit="rps",
        ),
        Panel(
            "graph",
            "Outcome",
            (Query(f"sum by (status) (rate(platform_api_predictions_total{{{_M}}}[5m]))", "{{status}}"),),
            unit="reqps",
        ),
        Panel(
            "graph",
            "Revisions by state",
            (Query("max by (environment, state) (deployment_revisions) > 0", "{{environment}} {{state}}"),),
        ),
        Panel(
            "graph",
            "State changes",
            (
                Query(
                    "sum by (environment, state) (increase(deployment_state_changes_total[1h]))",
                    "{{environment}} {{state}}",
                ),
            ),
        ),
        Panel("graph", "Builds", (Query("sum by (result) (increase(build_runs_total[1h]))", "{{result}}"),)),
        Panel(
            "graph",
            "Seconds per build (P90)",
            (Query("histogram_quantile(0.9, sum by (le) (rate(build_duration_seconds_bucket[1h])))", "p90"),),
            unit="s",
        ),
        Panel(
            "graph",
            "Waiting to start",
            (Query("max(deployment_oldest_start_seconds)", "oldest"),),
            unit="s",
            steps=((900, "red"),),
        ),
        Panel(
            "graph",
            "Model servers",
            (
                Query(
                    f"sum by (model_name, kind, status) (rate(model_server_requests_total{{{_M}}}[5m]))",
                    "{{model_name}} {{kind}} {{status}}",
                ),
            ),
            unit="reqps",
            about="As the servers of KServe count them; the gateway's own counts are above.",
        ),
        Panel(
            "graph",
            "Model servers (P99)",
            (
                Query(
                    f"histogram_quantile(0.99, sum by (model_name, kind, le) (rate(model_server_request_duration_seconds_bucket{{{_M}}}[5m])))",
                    "{{model_name}} {{kind}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "graph",
            "Operations",
            (Query("sum by (operation) (increase(deployment_operations_total[1d]))", "{{operation}}"),),
        ),
    ),
)
