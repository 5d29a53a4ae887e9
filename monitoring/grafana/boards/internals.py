"""Platform internals: the worker's jobs, PostgreSQL's pools, and what the platform stands on."""

from panels import Board, Panel, Query

BOARD = Board(
    uid="mlops-internals",
    title="Platform internals",
    about="For those who run the platform.",
    panels=(
        Panel(
            "stat", "Version", (Query("max by (version) (platform_build_info)", "{{version}}"),), names={"1": "runs"}
        ),
        Panel(
            "stat",
            "Since the worker's last pass",
            (Query('time() - max(worker_last_success_timestamp_seconds{worker_job="deployment-reconcile"})'),),
            unit="s",
            steps=((120, "red"),),
        ),
        Panel(
            "stat",
            "Pools used",
            (Query("sum by (pool) (database_pool_in_use) / sum by (pool) (database_pool_limit)", "{{pool}}"),),
            unit="percentunit",
            steps=((0.9, "red"),),
        ),
        Panel("stat", "Targets down", (Query("count(up == 0) or vector(0)"),), unit="none", steps=((1, "red"),)),
        Panel(
            "graph",
            "Worker passes",
            (Query("sum by (worker_job, result) (rate(worker_job_runs_total[5m]))", "{{worker_job}} {{result}}"),),
            unit="ops",
        ),
        Panel(
            "graph",
            "Seconds per pass (P95)",
            (
                Query(
                    "histogram_quantile(0.95, sum by (worker_job, le) (rate(worker_job_seconds_bucket[5m])))",
                    "{{worker_job}}",
                ),
            ),
            unit="s",
        ),
        Panel("graph", "Connections in use", (Query("sum by (pool) (database_pool_in_use)", "{{pool}}"),)),
        Panel(
            "graph",
            "Connections opened",
            (Query("sum by (pool) (rate(database_connections_total[5m]))", "{{pool}}"),),
            unit="ops",
        ),
        Panel(
            "graph",
            "Units of work without a database",
            (Query("sum by (pool) (rate(database_unavailable_total[5m]))", "{{pool}}"),),
            unit="ops",
        ),
        Panel(
            "graph",
            "How fast parts answer",
            (Query("max by (component) (platform_probe_seconds)", "{{component}}"),),
            unit="s",
        ),
        Panel(
            "graph",
            "Calls to MLflow (P95)",
            (
                Query(
                    "histogram_quantile(0.95, sum by (operation, le) (rate(mlflow_request_duration_seconds_bucket[5m])))",
                    "{{operation}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "graph",
            "RDS CPU",
            (Query("aws_rds_cpuutilization_average", "{{dbinstance_identifier}}"),),
            unit="percent",
            steps=((80, "red"),),
        ),
    ),
)
