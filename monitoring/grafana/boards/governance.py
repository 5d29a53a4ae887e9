"""Governance and approvals: who keeps whom waiting, what was decided, what is in which stage."""

from panels import Board, Panel, Query

BOARD = Board(
    uid="mlops-governance",
    title="Governance & approvals",
    about="Requests for approval by role, decisions, and models by stage and risk.",
    since="now-7d",
    panels=(
        Panel("stat", "Waiting for somebody", (Query("sum(max by (role) (approvals_pending))"),)),
        Panel("stat", "Over SLA", (Query("sum(max by (role) (approvals_over_sla))"),), steps=((1, "red"),)),
        Panel("stat", "Oldest request", (Query("max(approvals_oldest_pending_seconds)"),), unit="s"),
        Panel(
            "stat",
            "Rejected, 30 days",
            (Query('sum(increase(approvals_settled_total{status="rejected"}[30d]))'),),
        ),
        Panel("graph", "Waiting by role", (Query("max by (role) (approvals_pending)", "{{role}}"),)),
        Panel(
            "graph",
            "Oldest request against the role's SLA",
            (
                Query(
                    "max by (role) (approvals_oldest_pending_seconds) / on (role) max by (role) (approval_sla_seconds)",
                    "{{role}}",
                ),
            ),
            unit="percentunit",
            steps=((1, "red"),),
        ),
        Panel("bars", "Over SLA by role", (Query("max by (role) (approvals_over_sla)", "{{role}}"),)),
        Panel("bars", "SLA by role", (Query("max by (role) (approval_sla_seconds)", "{{role}}"),), unit="s"),
        Panel("bars", "Models by stage", (Query("max by (stage) (model_versions)", "{{stage}}"),), unit="none"),
        Panel(
            "graph",
            "Requests by move and risk",
            (
                Query(
                    "sum by (transition, risk_level) (increase(approval_requests_total[1d]))",
                    "{{transition}} {{risk_level}}",
                ),
            ),
        ),
        Panel(
            "graph", "Decisions", (Query("sum by (verdict) (increase(approval_decisions_total[1d]))", "{{verdict}}"),)
        ),
        Panel(
            "graph",
            "How requests ended",
            (Query("sum by (status) (increase(approvals_settled_total[1d]))", "{{status}}"),),
        ),
        Panel(
            "graph",
            "Time to decision (P90)",
            (
                Query(
                    "histogram_quantile(0.9, sum by (status, le) (increase(approval_time_to_decision_seconds_bucket[7d])))",
                    "{{status}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "bars",
            "Live by environment and risk",
            (Query("max by (environment, risk_level) (deployments_live)", "{{environment}} {{risk_level}}"),),
            unit="none",
        ),
        Panel("bars", "Models by tenant", (Query("max by (tenant) (models_registered)", "{{tenant}}"),), unit="none"),
    ),
)
