"""The immutable values that travel between doors, engine and sources.

Times are epoch **milliseconds** (``int``, or numpy ``int64`` arrays) everywhere inside the
bridge; doors and sources convert at their edge. Values are ``float64``; a gap is an absent
stamp, never a stored NaN (a NaN appears only where a fill policy asked for one).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bridge.catalog import Kind


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, both ends inclusive, in epoch milliseconds."""

    start_ms: int
    end_ms: int


class FilterKind(StrEnum):
    """OpenTSDB's seven filter types (reference: opentsdb 1, "Tag -> filter")."""

    LITERAL_OR = "literal_or"
    ILITERAL_OR = "iliteral_or"
    NOT_LITERAL_OR = "not_literal_or"
    NOT_ILITERAL_OR = "not_iliteral_or"
    WILDCARD = "wildcard"
    IWILDCARD = "iwildcard"
    REGEXP = "regexp"


@dataclass(frozen=True, slots=True)
class TagFilter:
    """One filter on one tag key.

    Attributes:
        key: Tag key, stored (``vm``) or enriched from the inventory (``cluster``).
        kind: How ``text`` is read.
        text: The expression: ``web01|web02``, ``web*``, ``^web.*``.
        group_by: Whether answers are grouped by this key.
    """

    key: str
    kind: FilterKind
    text: str
    group_by: bool = False


@dataclass(frozen=True, slots=True)
class Downsample:
    """How points become buckets.

    Attributes:
        interval_ms: Bucket width in milliseconds; 0 means one bucket for everything
            (``0all``).
        function: avg, sum, min, max, count, ... (OpenTSDB's names).
        fill: ``none``, ``nan``, ``null`` or ``zero``.
        calendar: True for calendar-aligned intervals (``1dc``).
        count: The number in front of the unit, for calendar intervals.
        unit: The unit's letter(s), for calendar intervals.
    """

    interval_ms: int
    function: str
    fill: str = "none"
    calendar: bool = False
    count: int = 0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """OpenTSDB's rate options; ``counter_max`` and ``reset_value`` of 0 mean unset."""

    counter: bool = False
    counter_max: float = 0.0
    reset_value: float = 0.0
    drop_resets: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One OpenTSDB sub-query.

    Attributes:
        metric: Metric name.
        window: Asked span; stamps outside it never appear in the answer.
        aggregator: How the series of one group become one; ``none`` keeps every stored
            series by itself.
        downsample: None means raw points.
        rate: None means values as stored.
        filters: All must match (two ``literal_or`` on one key are a union).
        explicit_tags: Only series that carry exactly the filtered keys.
        timezone: For calendar intervals.
        partial: Whether an answer may lack what one of several sources failed to give, with
            a notice; only where a person sees the notice.
    """

    metric: str
    window: Window
    aggregator: str = "none"
    downsample: Downsample | None = None
    rate: Rate | None = None
    filters: tuple[TagFilter, ...] = ()
    explicit_tags: bool = False
    timezone: str = "UTC"
    partial: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One answer series.

    Attributes:
        metric: The metric asked for.
        tags: Keys whose value is the same for every member of the group.
        aggregate_tags: Keys that differ between members.
        stamps_ms: Ascending epoch milliseconds, ``int64``.
        values: Same length, ``float64``; NaN only where a fill policy asked for it.
    """

    metric: str
    tags: Mapping[str, str]
    aggregate_tags: tuple[str, ...]
    stamps_ms: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Freshness:
    """How current what was read is.

    Attributes:
        age_s: Seconds since the oldest of it that may still change was read.
        good_s: Seconds for which the same question has the same answer.
        stale: It is older than it should be, because reading failed.
    """

    age_s: float = 0.0
    good_s: float = 0.0
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine gives for one query: series in a stable order, and notices.

    Attributes:
        series: Never holds a series without points.
        notices: Sentences a person should see next to the graph.
        missing: What the answer lacks, in words; only where ``Query.partial`` allows it.
        freshness: Of what was read for it.
    """

    series: tuple[Series, ...]
    notices: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    freshness: Freshness = field(default=Freshness())


class BucketFunction(StrEnum):
    """What a source can compute in a bucket; all but ``AVG`` can be merged into wider ones."""

    AVG = "avg"

    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class BucketRequest:
    """One fetch of per-series buckets.

    Attributes:
        metric: Metric name.
        filters: Filters on **stored** tags only; ``group_by`` is ignored, every stored
            series is answered by itself.
        start_ms: First bucket, a multiple of ``step_ms``.
        end_ms: End of the last bucket, exclusive, a multiple of ``step_ms``.
        step_ms: Bucket width.
        functions: What to compute in each bucket.
        on_missing: Told, in words, what is left out when one of several sources failed;
            None demands a complete answer or an error.
        on_read: Told how current the answer is, by sources that keep what they read.
    """

    metric: str
    filters: tuple[TagFilter, ...]
    start_ms: int
    end_ms: int
    step_ms: int
    functions: frozenset[BucketFunction]
    on_missing: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    on_read: Callable[[Freshness], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PointRequest:
    """One fetch of raw points, ``start_ms`` and ``end_ms`` both inclusive.

    Attributes:
        limit: The fetch fails with TooMuchError when more points than this would come.
        on_missing: As in ``BucketRequest``.
        on_read: As in ``BucketRequest``.
    """

    metric: str
    filters: tuple[TagFilter, ...]
    start_ms: int
    end_ms: int
    limit: int
    on_missing: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    on_read: Callable[[Freshness], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """The buckets of one stored series; an empty bucket is an absent stamp.

    Attributes:
        tags: The stored tags.
        stamps_ms: Starts of the non-empty buckets, ascending.
        columns: One ``float64`` array per asked function, as long as ``stamps_ms``.
    """

    tags: Mapping[str, str]
    stamps_ms: NDArray[np.int64]
    columns: Mapping[BucketFunction, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The raw points of one stored series, ascending, one per stamp."""

    tags: Mapping[str, str]
    stamps_ms: NDArray[np.int64]
    values: NDArray[np.float64]


class Source(Protocol):
    """Where series come from. Both fetches answer every stored series by itself.

    Raises (both fetches): UpstreamError, UpstreamTimeoutError, NotOfferedError,
    TooMuchError, BadRequestError (text the source cannot carry safely).
    """

    @property
    def name(self) -> str:
        """For messages: which source this is."""

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch epoch-aligned buckets; true gaps stay gaps."""

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the stored tags of a metric's series."""

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics that begin with a text, where the catalogue does not tell all."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Which stored series a point belongs to.

    Attributes:
        metric: Metric name.
        tags: Stored tags, sorted by key.
    """

    metric: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class PointBatch:
    """Points to record together.

    Attributes:
        keys: The series concerned, each once.
        series: For each point the index of its series in ``keys``, ``int32``.
        stamps_ms: Epoch milliseconds, ``int64``, in any order.
        values: Finite, ``float64``.
    """

    keys: tuple[SeriesKey, ...]
    series: NDArray[np.int32]
    stamps_ms: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelEra:
    """How long an object carried one set of changing labels (cluster, host_name, ...).

    Attributes:
        kind: What the object is.
        datacenter: Its ``datacenter`` tag, empty where its series have none.
        value: Its object label: moRef, host name or datastore name.
        labels: The labels, sorted by key.
        since_ms: When they were first seen, inclusive.
        until_ms: When others were first seen, exclusive; None while they hold.
    """

    kind: Kind
    datacenter: str
    value: str
    labels: tuple[tuple[str, str], ...]
    since_ms: int
    until_ms: int | None = None


class Recording(Protocol):
    """Where points are recorded."""

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        """Store points and eras in one transaction; the same once more changes nothing.

        A point replaces one of the same series and stamp; an era replaces one of the same
        object and ``since_ms``.

        Raises:
            BridgeError: Nothing of it has been stored.
        """

    async def eras(self) -> tuple[LabelEra, ...]:
        """Return every era stored, by object and time."""
