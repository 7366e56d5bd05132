"""The explorer's form: what stands in the address, as a person filled it in.

The fields are those of simPod's query builder (``bridge.doors.payload``) under the same
names, and each label under its own; ``target`` holds a whole target text instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bridge.doors.payload import SERIES_FIELDS
from bridge.engine.lexemes import format_filter
from bridge.engine.parts import format_downsample, format_rate
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

    from bridge.engine.grammar import SeriesTarget

#: How points and series are combined: fields of one text each.
COMBINING = ("aggregator", "downsample", "function", "fill", "rate", "legend")
#: Parameters of the address that are no label.
RESERVED = frozenset(
    {*SERIES_FIELDS, "metric", "of", "target", "from", "to", "tz", "order", "show"}
)
FIRST_RANGE = "now-6h"
_LONGEST = 4_000
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of the explorer.

    Attributes:
        metric: Name of the metric; empty before one is chosen.
        of: The metric whose labels the form showed; another than ``metric`` after a person
            has chosen a new one.
        labels: Filter texts by label, none of them empty.
        group_by: Labels ticked.
        combining: The fields of ``COMBINING``, none of them empty.
        explicit_tags: Whether that is ticked.
        target: A target text that counts instead of all the above.
        start: Where the range begins, as typed.
        end: Where it ends.
        zone: Name of the time zone.
        order: What the series are ordered by; empty leaves it to the page.
        show: ``table`` for the points as a table.
    """

    metric: str = ""
    of: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()
    combining: Mapping[str, str] = field(default_factory=dict)
    explicit_tags: bool = False
    target: str = ""
    start: str = FIRST_RANGE
    end: str = "now"
    zone: str = "UTC"
    order: str = ""
    show: str = ""

    def query(self, **changed: str) -> dict[str, str | list[str]]:
        """Return the parameters of an address that shows the same, but for ``changed``."""
        asked: dict[str, str | list[str]] = (
            {"target": self.target}
            if self.target
            else {
                "metric": self.metric,
                **self.labels,
                "group_by": list(self.group_by),
                **self.combining,
                "explicit_tags": "true" if self.explicit_tags else "",
            }
        )
        return {
            **asked,
            "from": self.start,
            "to": "" if self.end == "now" else self.end,
            "tz": "" if self.zone == "UTC" else self.zone,
            "order": self.order,
            "show": self.show,
            **changed,
        }


def read_form(params: QueryParams) -> Form:
    """Read an address.

    Raises:
        BadRequestError: There is too much of it.
    """
    pairs = params.multi_items()
    if len(pairs) > _MOST_FIELDS:
        raise BadRequestError(f"expected at most {_MOST_FIELDS} parameters")
    for name, text in pairs:
        if len(name) + len(text) > _LONGEST:
            raise BadRequestError(f"expected at most {_LONGEST:,} characters", field=name[:60])
    texts = {name: text.strip() for name, text in pairs if text.strip()}
    return Form(
        metric=texts.get("metric", ""),
        of=texts.get("of", ""),
        labels={name: text for name, text in texts.items() if name not in RESERVED},
        group_by=tuple(dict.fromkeys(filter(None, params.getlist("group_by")))),
        combining={name: texts[name] for name in COMBINING if name in texts},
        explicit_tags=texts.get("explicit_tags", "").lower() == "true",
        target=texts.get("target", ""),
        start=texts.get("from", FIRST_RANGE),
        end=texts.get("to", "now"),
        zone=texts.get("tz", "UTC"),
        order=texts.get("order", ""),
        show=texts.get("show", ""),
    )


def filled_in(form: Form, target: SeriesTarget) -> Form:
    """Return the form filled in as a target says, as far as its fields can say it."""
    combining = {
        "aggregator": target.aggregator or "",
        "rate": format_rate(target.rate) if target.rate else "",
        "legend": target.legend or "",
    }
    if target.downsample is not None:
        names = ("downsample", "function", "fill")
        combining |= dict(zip(names, format_downsample(target.downsample).split("-"), strict=False))
    return replace(
        form,
        target="",
        metric=target.metric,
        labels={
            flt.key: format_filter(flt)
            for flt in target.filters
            if not (flt.group_by and format_filter(flt) == "*")
        },
        group_by=tuple(dict.fromkeys(flt.key for flt in target.filters if flt.group_by)),
        combining={name: text for name, text in combining.items() if text},
        explicit_tags=target.explicit_tags,
    )
