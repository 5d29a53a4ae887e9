"""Security and audit: is the log intact, who is refused, what ends soon."""

from panels import Board, Panel, Query

BOARD = Board(
    uid="mlops-security",
    title="Security & audit",
    about="The audit log's proof, refused callers, certificates.",
    since="now-24h",
    panels=(
        Panel(
            "stat",
            "Audit log",
            (Query("min(audit_verification_ok)"),),
            first="red",
            steps=((1, "green"),),
            names={"0": "NOT INTACT", "1": "INTACT"},
        ),
        Panel(
            "stat",
            "Since the last verification",
            (Query("time() - max(audit_last_verification_timestamp_seconds)"),),
            unit="s",
            steps=((3600, "red"),),
        ),
        Panel("stat", "Events", (Query("max(audit_log_events)"),), unit="none"),
        Panel(
            "stat",
            "Problems",
            (Query("max(audit_verification_problems)"),),
            unit="none",
            steps=((1, "red"),),
        ),
        Panel(
            "graph", "Events by action", (Query("sum by (action) (increase(audit_events_total[1h]))", "{{action}}"),)
        ),
        Panel("graph", "Seconds per verification", (Query("max(audit_verification_seconds)", "seconds"),), unit="s"),
        Panel(
            "graph",
            "Refused tokens",
            (Query("sum by (reason) (rate(authentication_failures_total[5m]))", "{{reason}}"),),
            unit="ops",
            steps=((1, "red"),),
        ),
        Panel(
            "graph",
            "Refused by a policy",
            (Query("sum by (action) (rate(authorization_denials_total[5m]))", "{{action}}"),),
            unit="ops",
        ),
        Panel(
            "graph",
            "Refused requests",
            (
                Query(
                    'sum by (status, endpoint) (rate(http_requests_total{status=~"401|403|429"}[5m]))',
                    "{{status}} {{endpoint}}",
                ),
            ),
            unit="reqps",
        ),
        Panel("graph", "Anchored late", (Query("sum(increase(audit_heads_anchored_late_total[1h]))", "heads"),)),
        Panel(
            "stat",
            "Mirror was complete",
            (Query("time() - (max(audit_mirror_complete_timestamp_seconds) > 0)"),),
            unit="s",
            steps=((900, "red"),),
        ),
        Panel("stat", "Events mirrored", (Query("max(audit_mirror_events)"),), unit="none"),
        Panel(
            "stat",
            "Events the mirror lacks",
            (Query("max(audit_log_events) - (max(audit_mirror_events) > 0)"),),
            unit="none",
            steps=((1, "orange"),),
        ),
        Panel(
            "stat",
            "Disagreements of log and mirror",
            (Query("sum(increase(audit_mirror_conflicts_total[24h]))"),),
            unit="none",
            steps=((1, "red"),),
        ),
        Panel(
            "bars",
            "Days until certificates end",
            (
                Query("(min by (address) (tls_certificate_expiry_timestamp_seconds) - time()) / 86400", "{{address}}"),
                Query(
                    "(min by (namespace, name) (certmanager_certificate_expiration_timestamp_seconds) - time()) / 86400",
                    "{{namespace}}/{{name}}",
                ),
            ),
            unit="d",
            width=12,
            first="red",
            steps=((3, "orange"), (21, "green")),
        ),
        Panel(
            "bars",
            "Hours since backups",
            (
                Query(
                    '(time() - max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{cronjob=~".*backup.*"})) / 3600',
                    "{{namespace}}/{{cronjob}}",
                ),
            ),
            unit="h",
            width=12,
            steps=((24, "orange"), (26, "red")),
        ),
        Panel(
            "graph",
            "Repeated writes answered from memory",
            (Query("sum(rate(idempotent_replays_total[5m]))", "replays"),),
            unit="ops",
        ),
    ),
)
