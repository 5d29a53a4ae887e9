"""Data quality and drift: what models are asked, against what they learnt from; and the record of it."""

from panels import Board, Panel, Query

_M = 'model_name=~"$model"'

BOARD = Board(
    uid="mlops-data",
    title="Data quality & drift",
    about="Inputs of the last hour against the training sample, predictions, and the prediction log.",
    variables=(("model", "label_values(drift_rows_compared, model_name)"),),
    since="now-24h",
    panels=(
        Panel(
            "stat",
            "Worst drift",
            (Query(f"max(model_input_drift_psi{{{_M}}})"),),
            about="Below 0.1 calm, above 0.2 another population.",
            steps=((0.1, "orange"), (0.2, "red")),
        ),
        Panel(
            "stat",
            "Worst quality",
            (Query("min(data_quality_score)"),),
            unit="percentunit",
            first="red",
            steps=((0.9, "green"),),
        ),
        Panel(
            "stat",
            "Rows not logged, last day",
            (Query("sum(increase(prediction_log_dropped_total[1d]))"),),
            unit="none",
            steps=((1, "red"),),
        ),
        Panel(
            "stat",
            "Failed pipeline passes, last day",
            (Query("sum(increase(data_pipeline_failures_total[1d]))"),),
            unit="none",
            steps=((1, "red"),),
        ),
        Panel(
            "graph",
            "Drift by feature",
            (Query(f"max by (model_name, feature) (model_input_drift_psi{{{_M}}})", "{{model_name}} {{feature}}"),),
            steps=((0.1, "orange"), (0.2, "red")),
        ),
        Panel(
            "graph",
            "Quality by dataset",
            (Query("min by (dataset) (data_quality_score)", "{{dataset}}"),),
            unit="percentunit",
        ),
        Panel(
            "graph",
            "Nulls",
            (Query(f"max by (model_name, feature) (model_input_null_share{{{_M}}})", "{{model_name}} {{feature}}"),),
            unit="percentunit",
        ),
        Panel(
            "graph",
            "Out of range",
            (
                Query(
                    f"max by (model_name, feature) (model_input_out_of_range_share{{{_M}}})",
                    "{{model_name}} {{feature}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel("graph", "Mean prediction", (Query(f"avg by (model_name) (prediction_mean{{{_M}}})", "{{model_name}}"),)),
        Panel(
            "graph",
            "Rows compared",
            (
                Query(f"max by (model_name) (drift_rows_compared{{{_M}}})", "{{model_name}} last hour"),
                Query(f"max by (model_name) (drift_baseline_rows{{{_M}}})", "{{model_name}} training sample"),
            ),
            about="With few rows chance alone looks like drift; bins are merged so that each holds twenty of the sample.",
        ),
        Panel(
            "graph",
            "Prediction log",
            (
                Query("sum(rate(prediction_log_rows_total[5m]))", "kept"),
                Query("sum(rate(prediction_log_moved_total[5m]))", "moved to the table"),
                Query("sum(rate(prediction_log_dropped_total[5m]))", "lost"),
            ),
            unit="rps",
        ),
        Panel(
            "graph",
            "Oldest segment not moved",
            (Query("max(prediction_log_lag_seconds)", "age"),),
            unit="s",
            steps=((300, "red"),),
        ),
        Panel("graph", "Segments not moved", (Query("max(prediction_log_pending_segments)", "segments"),)),
        Panel(
            "graph",
            "Failed pipeline passes",
            (Query("sum by (pipeline) (increase(data_pipeline_failures_total[15m]))", "{{pipeline}}"),),
        ),
    ),
)
