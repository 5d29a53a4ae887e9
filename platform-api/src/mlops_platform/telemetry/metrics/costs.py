"""Money."""

from prometheus_client import Gauge

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
    "USD a tenant may spend in a month before people are notified, from its definition.",
    ["tenant"],
    multiprocess_mode="mostrecent",
)
