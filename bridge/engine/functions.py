"""The functions of the query language that are served, and what each needs.

OpenTSDB uses one set of names for aggregators (many series to one) and for downsampling
(many points to one bucket). An aggregator also decides what a series contributes at an
instant where it has no point, between its first and its last one (reference: opentsdb 1a).
"""

from __future__ import annotations

import difflib
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.errors import BadRequestError
from bridge.model import BucketFunction

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Interpolation(Enum):
    """What a series contributes between two of its points."""

    LERP = auto()
    ZERO = auto()
    MAX = auto()
    MIN = auto()
    PREVIOUS = auto()


#: Percentiles by name. On doubles OpenTSDB's estimated ones (``ep...``) equal the plain ones.
PERCENTILES: Mapping[str, float] = MappingProxyType(
    {
        name: float(percent)
        for digits, percent in (
            ("50", 50),
            ("75", 75),
            ("90", 90),
            ("95", 95),
            ("99", 99),
            ("999", 99.9),
        )
        for name in (f"p{digits}", f"ep{digits}r3", f"ep{digits}r7")
    }
)

#: Aggregators and their interpolation; ``none`` keeps series apart and needs none.
AGGREGATORS: Mapping[str, Interpolation] = MappingProxyType(
    {
        **dict.fromkeys(
            ("avg", "dev", "diff", "max", "median", "min", "mult", "sum", *PERCENTILES),
            Interpolation.LERP,
        ),
        **dict.fromkeys(
            ("count", "first", "last", "none", "squareSum", "zimsum"), Interpolation.ZERO
        ),
        "mimmax": Interpolation.MIN,
        "mimmin": Interpolation.MAX,
        "pfsum": Interpolation.PREVIOUS,
    }
)

#: Downsampling functions, and the bucket function that gives them; None needs raw points.
DOWNSAMPLERS: Mapping[str, BucketFunction | None] = MappingProxyType(
    {
        **dict.fromkeys(AGGREGATORS.keys() - {"none"}),
        "avg": BucketFunction.AVG,
        "count": BucketFunction.COUNT,
        "first": BucketFunction.FIRST,
        "last": BucketFunction.LAST,
        "max": BucketFunction.MAX,
        "mimmax": BucketFunction.MAX,
        "mimmin": BucketFunction.MIN,
        "min": BucketFunction.MIN,
        "pfsum": BucketFunction.SUM,
        "sum": BucketFunction.SUM,
        "zimsum": BucketFunction.SUM,
    }
)

FILLS = ("none", "nan", "null", "zero")


def require(what: str, name: str, accepted: Collection[str]) -> None:
    """Refuse a name that is not served.

    Raises:
        BadRequestError: Naming ``what``, the nearest accepted name and all of them.
    """
    if name in accepted:
        return
    names = sorted(accepted)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise BadRequestError(f"no such {what}: {name!r}{hint} (accepted: {', '.join(names)})")
