"""Cost: by service, tenant and model, from AWS or from the price table."""

from panels import Board, Panel, Query

BOARD = Board(
    uid="mlops-cost",
    title="Cost",
    about="What the platform costs. With AWS the numbers are its bills', without it measured usage times the price table.",
    since="now-30d",
    panels=(
        Panel(
            "stat",
            "Last day",
            (Query("sum(max by (service) (cost_daily_usd))"),),
            unit="currencyUSD",
            steps=((800, "orange"), (1000, "red")),
        ),
        Panel(
            "stat",
            "This month",
            (Query("sum(max by (service, tenant, model) (cost_month_to_date_usd))"),),
            unit="currencyUSD",
        ),
        Panel(
            "stat",
            "Per thousand rows, last day",
            (Query("sum(max by (service) (cost_daily_usd)) / (sum(increase(prediction_rows_total[1d])) / 1000 > 0)"),),
            unit="currencyUSD",
        ),
        Panel(
            "stat",
            "AWS, this month",
            (Query("sum(max by (service) (aws_billing_estimated_charges_usd))"),),
            unit="currencyUSD",
        ),
        Panel(
            "graph",
            "Per day by service",
            (Query("max by (service) (cost_daily_usd)", "{{service}}"),),
            unit="currencyUSD",
        ),
        Panel(
            "graph",
            "AWS charges by service",
            (Query("max by (service) (aws_billing_estimated_charges_usd)", "{{service}}"),),
            unit="currencyUSD",
        ),
        Panel(
            "pie",
            "This month by service",
            (Query("sum by (service) (max by (service, tenant, model) (cost_month_to_date_usd))", "{{service}}"),),
            unit="currencyUSD",
        ),
        Panel(
            "pie",
            "This month by tenant",
            (Query("sum by (tenant) (max by (service, tenant, model) (cost_month_to_date_usd))", "{{tenant}}"),),
            unit="currencyUSD",
        ),
        Panel(
            "pie",
            "This month by model",
            (
                Query(
                    'sum by (model) (max by (service, tenant, model) (cost_month_to_date_usd{model!=""}))', "{{model}}"
                ),
            ),
            unit="currencyUSD",
        ),
        Panel(
            "bars",
            "Budget used",
            (
                Query(
                    "max by (tenant) (tenant_cost_month_to_date_usd) / on (tenant) (max by (tenant) (tenant_budget_usd) > 0)",
                    "{{tenant}}",
                ),
            ),
            unit="percentunit",
            width=12,
            steps=((0.8, "yellow"), (0.9, "orange"), (1, "red")),
        ),
        Panel(
            "bars",
            "Idle GPUs",
            (Query("100 - avg by (Hostname, gpu) (avg_over_time(DCGM_FI_DEV_GPU_UTIL[4h]))", "{{Hostname}} {{gpu}}"),),
            unit="percent",
            width=12,
            steps=((70, "red"),),
        ),
    ),
)
