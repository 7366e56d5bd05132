"""What readers and maintenance take for the truth, as SQL.

Both use the same texts, so that a question asked before a change is merged into the files
and one asked after it have the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.model import BucketFunction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The columns of a roll-up, and how each is made of points and merged from narrower rows.
FIGURES: Mapping[str, tuple[str, str, str]] = {
    "sum": ("sum(value)", 'sum("sum")', "value"),
    "count": ("count(*)", 'sum("count")::BIGINT', "1::BIGINT"),
    "min": ("min(value)", 'min("min")', "value"),
    "max": ("max(value)", 'max("max")', "value"),
    "first": ("arg_min(value, time)", 'arg_min("first", time)', "value"),
    "last": ("arg_max(value, time)", 'arg_max("last", time)', "value"),
}

#: The columns a function of the engine's needs, and what it is of them.
NEEDED: Mapping[BucketFunction, tuple[tuple[str, ...], str]] = {
    BucketFunction.AVG: (("sum", "count"), '"sum" / "count"'),
    **{
        function: ((function.value,), f'"{function.value}"::DOUBLE')
        for function in BucketFunction
        if function is not BucketFunction.AVG
    },
}


def rolled(points: str, width_ms: int) -> str:
    """Return the roll-up of a table of points."""
    figures = ", ".join(f'{made} AS "{name}"' for name, (made, _, _) in FIGURES.items())
    return (
        f"SELECT series, time - time % {width_ms} AS time, {figures} FROM {points} "
        f"GROUP BY series, time - time % {width_ms}"
    )


def widened(rows: str, width_ms: int) -> str:
    """Return the roll-up of a narrower roll-up."""
    figures = ", ".join(f'{made} AS "{name}"' for name, (_, made, _) in FIGURES.items())
    return (
        f"SELECT series, time - time % {width_ms} AS time, {figures} FROM {rows} "
        f"GROUP BY series, time - time % {width_ms}"
    )


def merged(rows: str, step_ms: int, functions: Iterable[BucketFunction]) -> str:
    """Return buckets of a table of roll-ups of any widths."""
    names = sorted(functions)
    needed = sorted({column for name in names for column in NEEDED[name][0]})
    inner = ", ".join(f'{FIGURES[column][1]} AS "{column}"' for column in needed)
    outer = ", ".join(f'{NEEDED[name][1]} AS "{name}_"' for name in names)
    return (
        f"SELECT series, bucket AS time, {outer} FROM ("
        f"SELECT series, time - time % {step_ms} AS bucket, {inner} FROM ({rows}) "
        f"GROUP BY series, time - time % {step_ms})"
    )


def as_rollup(points: str, columns: Iterable[str]) -> str:
    """Return points as rows of a roll-up, each its own bucket."""
    figures = ", ".join(f'{FIGURES[column][2]} AS "{column}"' for column in columns)
    return f"SELECT series, time, {figures} FROM {points}"


def overlaid(old: str, new: str) -> str:
    """Return the rows of two tables, the newer one's where both have a series and time."""
    return (
        f"SELECT * FROM {old} ANTI JOIN (SELECT series, time FROM {new}) USING (series, time) "
        f"UNION ALL SELECT * FROM {new}"
    )


def renewed(old: str | None, points: str, pending: str, width_ms: int, lost: str | None) -> str:
    """Return a roll-up with the buckets renewed that pending points fall into.

    Args:
        old: The roll-up so far; None when there is none.
        points: Every point that is kept, the pending ones included.
        pending: Points that the roll-up does not know.
        width_ms: Width of its buckets.
        lost: A table of the series whose points are no longer all kept. A bucket of theirs
            is renewed only from at least as many points as it was made of: a roll-up of all
            is better than one of some, and the same points once more change nothing.
    """
    in_touched = (
        f"(SELECT points.* FROM {points} AS points SEMI JOIN touched ON "
        f"points.series = touched.series AND points.time - points.time % {width_ms} = start)"
    )
    sql = (
        "WITH touched AS MATERIALIZED "
        f"(SELECT DISTINCT series, time - time % {width_ms} AS start FROM {pending}), "
        f"made AS MATERIALIZED ({rolled(in_touched, width_ms)})"
    )
    if old is None:
        return f"{sql} SELECT * FROM made"
    if lost is None:
        return f"{sql} {overlaid(old, 'made')}"
    better = (
        f"SELECT made.* FROM made LEFT JOIN {old} AS old USING (series, time) "
        'WHERE old."count" IS NULL OR made."count" >= old."count" '
        f"OR made.series NOT IN (SELECT series FROM {lost})"
    )
    return f"{sql}, better AS MATERIALIZED ({better}) {overlaid(old, 'better')}"
