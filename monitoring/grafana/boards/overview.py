"""MLOps Platform Overview: the fifteen panels people know, with queries that work."""

from panels import Board, Panel, Query

_DAILY_COST = "sum(max by (service) (cost_daily_usd))"

BOARD = Board(
    uid="mlops-overview",
    title="MLOps Platform Overview",
    about="Is the platform well, what does it answer, what does it cost.",
    panels=(
        Panel(
            "stat",
            "Platform Health Status",
            (
                Query('max(up{job="platform-api",component!="worker"})', "platform-api"),
                Query("min by (component) (platform_up)", "{{component}}"),
                Query('min(up{job="kserve-models"})', "models"),
            ),
            about="1 while it answers. The worker asks the database, MLflow, the feature store and the prediction log.",
            first="red",
            steps=((1, "green"),),
            names={"0": "DOWN", "1": "UP"},
        ),
        Panel("stat", "Total Models in Production", (Query("max(models_in_production)"),), unit="none"),
        Panel(
            "stat",
            "Total Predictions Today",
            (Query('sum(increase(platform_api_predictions_total{status="success"}[24h]))'),),
            unit="none",
            about="Answered prediction requests of the last 24 hours.",
        ),
        Panel(
            "stat",
            "Estimated Daily Cost",
            (Query(_DAILY_COST),),
            unit="currencyUSD",
            about="Cost of the last day: a gauge, so it is read and not rated.",
            steps=((800, "orange"), (1000, "red")),
        ),
        Panel(
            "graph", "Model Request Rate", (Query("model_name:http_requests:rate5m", "{{model_name}}"),), unit="reqps"
        ),
        Panel(
            "graph",
            "Model Latency (P95)",
            (Query("model_name:http_request_duration_seconds:p95_5m", "{{model_name}}"),),
            unit="s",
            steps=((1, "red"),),
        ),
        Panel(
            "graph",
            "Model Error Rate",
            (Query("model_name:http_request_errors:ratio_rate5m", "{{model_name}}"),),
            unit="percentunit",
            about="Share of requests answered with a server error.",
            steps=((0.05, "red"),),
        ),
        Panel(
            "graph",
            "Infrastructure CPU Usage",
            (Query('100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])))', "{{instance}}"),),
            unit="percent",
            steps=((80, "red"),),
        ),
        Panel(
            "graph",
            "Infrastructure Memory Usage",
            (Query("100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)", "{{instance}}"),),
            unit="percent",
            steps=((85, "red"),),
        ),
        Panel(
            "graph",
            "GPU Utilization",
            (Query("avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)", "{{Hostname}} {{gpu}}"),),
            unit="percent",
        ),
        Panel(
            "graph",
            "MLflow Operations",
            (Query("sum by (operation, status) (rate(mlflow_requests_total[5m]))", "{{operation}} {{status}}"),),
            unit="ops",
            about="Calls of the platform to MLflow.",
        ),
        Panel(
            "pie",
            "Cost by Service",
            (Query("7 * avg by (service) (avg_over_time(cost_daily_usd[7d]))", "{{service}}"),),
            unit="currencyUSD",
            about="The last seven days.",
        ),
        Panel(
            "bars",
            "Active Kubernetes Pods",
            (Query('sum by (namespace) (kube_pod_status_phase{phase="Running"})', "{{namespace}}"),),
            unit="none",
        ),
        Panel(
            "graph",
            "Data Quality Scores",
            (Query("min by (dataset) (data_quality_score)", "{{dataset}}"),),
            unit="percentunit",
            about="Share of the last hour's input values that are present and plausible.",
        ),
        Panel(
            "table",
            "Recent Alerts",
            (Query('max by (alertname, severity, area) (max_over_time(ALERTS{alertstate="firing"}[1h]))'),),
            about="What fired within the last hour.",
        ),
    ),
)
