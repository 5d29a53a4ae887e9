"""What a dashboard consists of, in our words, and how it becomes Grafana's. Queries are plain PromQL, so tests can ask them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from grafana_foundation_sdk.builders import bargauge, common, dashboard, piechart, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

Kind = Literal["stat", "graph", "bars", "pie", "table"]
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
_WIDTHS: dict[Kind, int] = {"stat": 6, "graph": 12, "bars": 8, "pie": 8, "table": 24}
_HEIGHTS: dict[Kind, int] = {"stat": 4, "graph": 8, "bars": 8, "pie": 8, "table": 8}
_COLUMNS = 24


@dataclass(frozen=True)
class Query:
    """PromQL, and what a series is called (Grafana's {{label}})."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. `steps` are (from, colour) beyond the first, which is green; `names` show a number as a word."""

    kind: Kind
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    about: str = ""
    width: int | None = None
    steps: tuple[tuple[float, str], ...] = ()
    first: str = "green"
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """One dashboard. `variables` are (name, label values query)."""

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = ()
    since: str = "now-6h"


def build(board: Board) -> Any:
    """Return Grafana's form of a dashboard."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["mlops-platform"])
        .refresh("30s")
        .time(board.since, "now")
        .timezone("utc")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
    )
    for name, query in board.variables:
        built = built.with_variable(
            dashboard.QueryVariable(name)
            .label(name)
            .datasource(DATASOURCE)
            .query(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .all_value(".*")
            .multi(True)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
        )
    x = y = row = 0
    for number, panel in enumerate(board.panels, 1):
        width, height = panel.width or _WIDTHS[panel.kind], _HEIGHTS[panel.kind]
        if x + width > _COLUMNS:
            x, y, row = 0, y + row, 0
        place = model.GridPos(x=x, y=y, w=width, h=height)
        built = built.with_panel(_panel(panel).id(number).grid_pos(place))
        x, row = x + width, max(row, height)
    return built.build()


def _panel(panel: Panel) -> Any:
    makers = {"stat": _stat, "graph": _graph, "bars": _bars, "pie": _pie, "table": _table}
    made = makers[panel.kind](panel)
    made = made.title(panel.title).description(panel.about).unit(panel.unit).datasource(DATASOURCE)
    steps = [model.Threshold(value=None, color=panel.first)]
    steps += [model.Threshold(value=value, color=colour) for value, colour in panel.steps]
    made = made.thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.names:
        options = {value: model.ValueMappingResult(text=text) for value, text in panel.names.items()}
        made = made.mappings([model.ValueMap(options=options)])
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number)).legend_format(query.legend)
        target = target.range() if panel.kind == "graph" else target.instant()
        if panel.kind == "table":
            target = target.format(prometheus_model.PromQueryFormat.TABLE)
        made = made.with_target(target)
    return made


def _stat(_: Panel) -> Any:
    return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _graph(panel: Panel) -> Any:
    legend = common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
    legend = legend.placement(common_model.LegendPlacement.BOTTOM).show_legend(True)
    made = timeseries.Panel().fill_opacity(10).line_width(1).legend(legend)
    if panel.steps:
        made = made.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphTresholdsStyleMode.LINE)
        )
    return made


def _bars(_: Panel) -> Any:
    made = bargauge.Panel().orientation(common_model.VizOrientation.HORIZONTAL)
    return made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _pie(_: Panel) -> Any:
    return piechart.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _table(_: Panel) -> Any:
    return table.Panel()
