"""The few kinds of panels that all dashboards are made of.

**Gaps.** Grafana joins two points whatever lies between them: ``spanNulls: false`` breaks a
line only at a null. So OpenTSDB queries fill empty steps with null, the panel's step is never
finer than what is recorded, and where nulls cannot be sent (Grafana's server reads them as 0,
so from 13.2 on, where it asks by itself, they are left out) ``insertNulls`` breaks lines at
silences longer than ``GAP_MS``. A step longer than that would break every line, which is why it
is no shorter: at half the width of a 1280 pixel screen the step passes it at some 14 weeks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Panel
from grafana_foundation_sdk.models import bargauge, common, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import text as text_model

from dashboards.source import looks
from dashboards.source.queries import Live, OpenTsdb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.source.looks import States, Steps
    from dashboards.source.queries import Query

    Size = tuple[int, int]

#: Never a finer step: recorded every 2 minutes, OVHcloud's own history every 5.
FINEST_STEP = "5m"
GAP_MS = 3 * 3_600_000
HALF: Size = (12, 8)


@dataclass(frozen=True, kw_only=True)
class Value:
    """How the values of one panel are shown.

    Attributes:
        unit: Grafana's identifier of a unit.
        steps: Thresholds.
        states: Words and colours for single values.
        decimals: Digits after the point.
        least: Where a bar or axis begins.
        most: Where it ends.
        none: Shown when there is no value.
    """

    unit: str = ""
    steps: Steps = ()
    states: States | None = None
    decimals: int | None = None
    least: float | None = None
    most: float | None = None
    none: str = ""

    def config(self, custom: object = None, *, by_threshold: bool = True) -> model.FieldConfig:
        """Return it as the dashboard has it."""
        coloured = by_threshold and (self.steps or self.states)
        mode = model.FieldColorModeId.THRESHOLDS if coloured else None
        return model.FieldConfig(
            unit=self.unit or None,
            decimals=self.decimals,
            min_val=self.least,
            max_val=self.most,
            mappings=looks.mappings(self.states or {}) or None,
            thresholds=looks.thresholds(self.steps or looks.PLAIN),
            color=model.FieldColor(mode or model.FieldColorModeId.PALETTE_CLASSIC),
            no_value=self.none or None,
            custom=custom,
        )


def panel(kind: str, title: str, queries: Sequence[Query], size: Size, description: str) -> Panel:
    """Return a panel with its queries, lettered in their order."""
    made = Panel().type(kind).title(title).span(size[0]).height(size[1])
    if description:
        made.description(description)
    for index, query in enumerate(queries):
        made.with_target(query.lettered(chr(ord("A") + index)))
    if queries:
        made.datasource(queries[0].datasource)
    history = [query for query in queries if isinstance(query, OpenTsdb)]
    if history:
        made.interval(FINEST_STEP)
    for query in history:
        # Where Grafana knows labels but no aliases, a field is named after its metric, which
        # no alias begins with.
        name = f"/^{re.escape(query.metric)}(?![\\w.])/"
        made.override_by_regexp(name, [model.DynamicConfigValue("displayName", query.legend)])
    return made


def _first_column(query: Query) -> str:
    return f"/^{query.columns[0]}$/" if isinstance(query, Live) else ""


def _legend(*, calcs: Sequence[str] = ()) -> common.VizLegendOptions:
    mode = common.LegendDisplayMode.TABLE if calcs else common.LegendDisplayMode.LIST
    return common.VizLegendOptions(
        show_legend=True,
        display_mode=mode,
        placement=common.LegendPlacement.BOTTOM,
        calcs=list(calcs),
    )


def lines(
    title: str,
    *queries: Query,
    size: Size = HALF,
    unit: str = "",
    steps: Steps = (),
    top: float | None = None,
    calcs: Sequence[str] = (),
    bars: bool = False,
    description: str = "",
) -> Panel:
    """Return lines over time, from 0 up; the unit is the first metric's.

    Args:
        title: Of the panel.
        queries: Each may give many lines.
        size: Columns (of 24) and rows.
        unit: Instead of the metric's.
        steps: Thresholds, drawn as dashed lines.
        top: Largest value that the axis shows at least.
        calcs: Columns of the legend, such as ``max`` and ``lastNotNull``.
        bars: Bars instead of lines.
        description: What a person should know.
    """
    look = timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE,
        line_width=1,
        fill_opacity=60 if bars else 8,
        show_points=common.VisibilityMode.AUTO,
        span_nulls=False,
        insert_nulls=GAP_MS,
        axis_soft_min=0,
        axis_soft_max=top,
        thresholds_style=common.GraphThresholdsStyleConfig(
            mode=common.GraphTresholdsStyleMode.DASHED
            if steps
            else common.GraphTresholdsStyleMode.OFF
        ),
    )
    tooltip = common.VizTooltipOptions(
        mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING
    )
    made = panel("timeseries", title, queries, size, description)
    value = Value(unit=unit or queries[0].unit, steps=steps)
    made.defaults(value.config(look, by_threshold=False))
    return made.options(timeseries.Options(legend=_legend(calcs=calcs), tooltip=tooltip))


def timeline(
    title: str,
    *queries: OpenTsdb,
    states: States | None = None,
    size: Size = HALF,
    description: str = "",
) -> Panel:
    """Return coloured bars over time for a metric that is a code, in the catalogue's words."""
    made = panel("state-timeline", title, queries, size, description)
    made.defaults(
        Value(states=states or looks.coded(queries[0].metric)).config(
            statetimeline.FieldConfig(line_width=0, fill_opacity=75)
        )
    )
    return made.options(
        statetimeline.Options(
            show_value=common.VisibilityMode.NEVER,
            merge_values=True,
            row_height=0.8,
            legend=_legend(),
            tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.SINGLE),
        )
    )


def number(
    title: str,
    query: Query,
    value: Value,
    *,
    calc: str = "lastNotNull",
    size: Size = (3, 4),
    description: str = "",
) -> Panel:
    """Return one big value: the last of a metric, or a column of a live table.

    Args:
        title: Of the panel.
        query: Lines, or a live table whose first column is meant, a number or a text.
        value: How it is shown; without a unit, the query's.
        calc: How rows become one value.
        size: Columns (of 24) and rows.
        description: What a person should know.
    """
    made = panel("stat", title, [query], size, description)
    made.defaults(replace(value, unit=value.unit or query.unit).config())
    return made.options(
        stat.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            color_mode=common.BigValueColorMode.VALUE,
            justify_mode=common.BigValueJustifyMode.AUTO,
            text_mode=common.BigValueTextMode.VALUE,
            orientation=common.VizOrientation.AUTO,
            reduce_options=common.ReduceDataOptions(
                values=False, calcs=[calc], fields=_first_column(query)
            ),
        )
    )


def ranking(
    title: str,
    query: Query,
    value: Value,
    *,
    size: Size = HALF,
    description: str = "",
) -> Panel:
    """Return one bar for each row of a live table, or for the last value of each line."""
    made = panel("bargauge", title, [query], size, description)
    made.defaults(replace(value, unit=value.unit or query.unit).config())
    return made.options(
        bargauge.Options(
            display_mode=common.BarGaugeDisplayMode.GRADIENT,
            value_mode=common.BarGaugeValueMode.COLOR,
            show_unfilled=True,
            min_viz_height=16,
            orientation=common.VizOrientation.HORIZONTAL,
            reduce_options=common.ReduceDataOptions(
                values=isinstance(query, Live),
                calcs=["lastNotNull"],
                fields=_first_column(query),
            ),
        )
    )


def words(title: str, markdown: str, *, size: Size = HALF) -> Panel:
    """Return text."""
    made = panel("text", title, [], size, "")
    return made.options(text_model.Options(mode=text_model.TextMode.MARKDOWN, content=markdown))


def alerts(title: str, *, size: Size = HALF) -> Panel:
    """Return the alerts that fire, wait or fail, of all rules about vScope."""
    made = panel("alertlist", title, [], size, "Of the rules with the label source=vscope.")
    return made.options(
        {
            "viewMode": "list",
            "groupMode": "default",
            "groupBy": [],
            "maxItems": 20,
            "sortOrder": 1,
            "dashboardAlerts": False,
            "alertName": "",
            "alertInstanceLabelFilter": '{source="vscope"}',
            "showInstances": True,
            "stateFilter": {
                "firing": True,
                "pending": True,
                "noData": True,
                "normal": False,
                "error": True,
            },
        }
    )
