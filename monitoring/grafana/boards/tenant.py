"""One tenant: its models, namespace and budget."""

from panels import Board, Panel, Query

_N = 'namespace=~"tenant-($tenant)(-.+)?"'
_T = 'tenant=~"$tenant"'

BOARD = Board(
    uid="mlops-tenant",
    title="Tenant",
    about="CPU, memory, GPU, pods, network, storage, quota and cost of a tenant's namespaces.",
    variables=(("tenant", "label_values(models_registered, tenant)"),),
    panels=(
        Panel("stat", "Models", (Query(f"sum(max by (tenant) (models_registered{{{_T}}}))"),), unit="none"),
        Panel(
            "stat",
            "Cost, this month",
            (Query(f"sum(max by (tenant) (tenant_cost_month_to_date_usd{{{_T}}}))"),),
            unit="currencyUSD",
        ),
        Panel("stat", "Budget", (Query(f"sum(max by (tenant) (tenant_budget_usd{{{_T}}}))"),), unit="currencyUSD"),
        Panel("stat", "Running pods", (Query(f'sum(kube_pod_status_phase{{{_N},phase="Running"}})'),), unit="none"),
        Panel(
            "graph",
            "CPU",
            (Query(f"sum by (namespace) (rate(container_cpu_usage_seconds_total{{{_N}}}[5m]))", "{{namespace}}"),),
        ),
        Panel(
            "graph",
            "Memory",
            (Query(f"sum by (namespace) (container_memory_working_set_bytes{{{_N}}})", "{{namespace}}"),),
            unit="bytes",
        ),
        Panel(
            "graph",
            "GPU",
            (Query(f"avg by (namespace, pod) (DCGM_FI_DEV_GPU_UTIL{{{_N}}})", "{{namespace}} {{pod}}"),),
            unit="percent",
        ),
        Panel(
            "graph",
            "Network",
            (
                Query(
                    f"sum by (namespace) (rate(container_network_receive_bytes_total{{{_N}}}[5m]))", "{{namespace}} in"
                ),
                Query(
                    f"sum by (namespace) (rate(container_network_transmit_bytes_total{{{_N}}}[5m]))",
                    "{{namespace}} out",
                ),
            ),
            unit="Bps",
        ),
        Panel(
            "graph",
            "Storage",
            (Query(f"sum by (namespace) (container_fs_usage_bytes{{{_N}}})", "{{namespace}}"),),
            unit="bytes",
        ),
        Panel(
            "graph",
            "Restarts",
            (
                Query(
                    f"sum by (namespace) (increase(kube_pod_container_status_restarts_total{{{_N}}}[1h]))",
                    "{{namespace}}",
                ),
            ),
        ),
        Panel(
            "bars",
            "Quota used",
            (
                Query(
                    f'kube_resourcequota{{{_N},type="used"}} / ignoring (type) (kube_resourcequota{{{_N},type="hard"}} > 0)',
                    "{{namespace}} {{resource}}",
                ),
            ),
            unit="percentunit",
            width=12,
            steps=((0.8, "orange"), (1, "red")),
        ),
        Panel(
            "bars",
            "Cost by model, this month",
            (Query(f"sum by (model) (max by (service, tenant, model) (cost_month_to_date_usd{{{_T}}}))", "{{model}}"),),
            unit="currencyUSD",
            width=12,
        ),
    ),
)
