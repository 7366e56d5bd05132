"""Where the simulated OpenTSDB takes its series from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bridge.catalog import Kind, catalogue
from bridge.demo.fleet import SERVICE, STEP_S
from bridge.demo.signals import host_values, store_values, vm_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.demo.fleet import Fleet

_NICS = 4


class Selector(Protocol):
    """Decides about one metric name or label value."""

    @property
    def exact(self) -> str | None:
        """The only text that matches, where there is just one."""

    def matches(self, text: str) -> bool:
        """Tell whether ``text`` is selected."""


@dataclass(frozen=True, slots=True)
class Name:
    """Metric and labels of one stored series."""

    metric: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class StoredSeries:
    """One series with its points, ascending, stamps in epoch **microseconds**."""

    name: Name
    stamps_us: NDArray[np.int64]
    values: NDArray[np.float64]


class FetchLimitError(Exception):
    """More points were asked for than one query may read."""


class Shelf(Protocol):
    """What the simulated OpenTSDB knows about its data."""

    def names(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[Name]:
        """List the series whose metric and labels match; every key must be there."""

    def select(
        self,
        metric: Selector,
        labels: Mapping[str, Selector],
        start_us: int,
        end_us: int,
        limit: int,
    ) -> Sequence[StoredSeries]:
        """Return the points in [start_us, end_us]; series without points are left out.

        Raises:
            FetchLimitError: more than ``limit`` points.
        """

    def last(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[StoredSeries]:
        """Return the newest point of each matching series."""


def selected(labels: Mapping[str, str], selectors: Mapping[str, Selector]) -> bool:
    """Tell whether a series with ``labels`` matches every selector."""
    for key, selector in selectors.items():
        value = labels.get(key)
        if value is None or not selector.matches(value):
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Row:
    """One stored series of the fleet: which object (and card) it is measured on."""

    name: Name
    index: int
    phase: int
    nic: int | None = None


class FleetShelf:
    """The history of the simulated fleet, computed when it is asked for.

    Every object is sampled each 300 s, at its own offset inside the step. Nothing younger
    than the clock exists.

    Args:
        fleet: The world.
        clock: Epoch seconds.
    """

    def __init__(self, fleet: Fleet, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock
        # What the bridge alone records is not OVHcloud's to serve.
        served = [name for name, metric in catalogue().items() if metric.ovhcloud]
        self._rows = {name: tuple(self._series_of(name)) for name in served}

    def names(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[Name]:
        """See :class:`Shelf`."""
        return [row.name for rows in self._matching(metric, labels).values() for row in rows]

    def select(
        self,
        metric: Selector,
        labels: Mapping[str, Selector],
        start_us: int,
        end_us: int,
        limit: int,
    ) -> Sequence[StoredSeries]:
        """See :class:`Shelf`."""
        now_us = int(self._clock() * 1e6)
        start = max(-(-start_us // 1_000_000), self._fleet.born)
        end = min(end_us, now_us) // 1_000_000
        if start > end:
            return []
        matching = self._matching(metric, labels)
        points = sum(len(rows) for rows in matching.values()) * ((end - start) // STEP_S + 1)
        if points > limit:
            raise FetchLimitError
        found: list[StoredSeries] = []
        for name, rows in matching.items():
            found += self._points(name, rows, start, end)
        return found

    def last(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[StoredSeries]:
        """See :class:`Shelf`."""
        now = int(self._clock())
        found: list[StoredSeries] = []
        for name, rows in self._matching(metric, labels).items():
            missing = rows
            # A machine may have been silent for hours or weeks; look back in growing spans.
            for span in (1800, 6 * 3600, 7 * 86400, now - self._fleet.born):
                recent = self._points(name, missing, max(now - span, self._fleet.born), now)
                seen = {id(series.name) for series in recent}
                missing = tuple(row for row in missing if id(row.name) not in seen)
                found += [StoredSeries(s.name, s.stamps_us[-1:], s.values[-1:]) for s in recent]
                if not missing:
                    break
        return found

    def sampled(self, metric: str, stamps_s: NDArray[np.int64]) -> list[StoredSeries]:
        """Return every series of a metric as if it were sampled at these epoch seconds."""
        rows = self._rows[metric]
        stamps = np.broadcast_to(stamps_s, (len(rows), len(stamps_s)))
        values = self._values(metric, rows, stamps)
        return [
            StoredSeries(row.name, stamps_s[known] * 1_000_000, line[known])
            for row, line in zip(rows, values, strict=True)
            for known in [~np.isnan(line)]
        ]

    def _matching(
        self, metric: Selector, labels: Mapping[str, Selector]
    ) -> dict[str, tuple[_Row, ...]]:
        if metric.exact is not None:
            chosen = [metric.exact] if metric.exact in self._rows else []
        else:
            chosen = [name for name in self._rows if metric.matches(name)]
        return {
            name: tuple(r for r in self._rows[name] if selected(r.name.labels, labels))
            for name in chosen
        }

    def _points(
        self, metric: str, rows: Sequence[_Row], start: int, end: int
    ) -> list[StoredSeries]:
        if not rows:
            return []
        phases = np.array([row.phase for row in rows], dtype=np.int64)
        steps = np.arange(start // STEP_S - 1, end // STEP_S + 1, dtype=np.int64)
        stamps = steps[None, :] * STEP_S + phases[:, None]
        values = self._values(metric, rows, stamps)
        inside = (stamps >= start) & (stamps <= end) & ~np.isnan(values)
        stamps *= 1_000_000
        series = []
        for number, row in enumerate(rows):
            keep = inside[number]
            if keep.any():
                series.append(StoredSeries(row.name, stamps[number][keep], values[number][keep]))
        return series

    def _values(
        self, metric: str, rows: Sequence[_Row], stamps: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        fleet = self._fleet
        kind = catalogue()[metric].kind
        if kind is Kind.VM:
            return vm_values(fleet, metric, [fleet.vms[row.index] for row in rows], stamps)
        if kind is Kind.HOST:
            nics = [row.nic for row in rows if row.nic is not None]
            hosts = [fleet.hosts[row.index] for row in rows]
            return host_values(fleet, metric, hosts, stamps, nics or None)
        return store_values(fleet, metric, [fleet.stores[row.index] for row in rows], stamps)

    def _series_of(self, metric: str) -> list[_Row]:
        """List the series of one metric, with the labels of OVHcloud's guide."""
        fleet = self._fleet
        places = {place.datacenter_id: place.label for place in fleet.places}
        known = catalogue()[metric]
        fixed = {"env": "prod", "servicename": SERVICE, "servicetype": "vscope"}

        def row(label: str, index: int, key: int, place: int, nic: int | None = None) -> _Row:
            labels = {"datacenter": places[place], str(known.labels[1]): label, **fixed}
            if nic is not None:
                labels["nicname"] = f"vmnic{nic}"
            return _Row(Name(metric, labels), index, phase_of(key), nic)

        if known.kind is Kind.VM:
            return [
                row(vm.mo_ref, index, vm.key, vm.datacenter_id)
                for index, vm in enumerate(fleet.vms)
            ]
        if known.kind is Kind.HOST:
            cards: tuple[int | None, ...] = (
                tuple(range(_NICS)) if "nicname" in known.labels else (None,)
            )
            return [
                row(host.name, index, host.key, host.datacenter_id, nic)
                for index, host in enumerate(fleet.hosts)
                for nic in cards
            ]
        # Nobody outside OVHcloud knows which datacenter label a global datastore carries;
        # here it is the first one (reference: ovh 7, point 7).
        first = fleet.places[0].datacenter_id
        return [
            row(store.name, index, store.key, store.datacenter_id or first)
            for index, store in enumerate(fleet.stores)
        ]


def phase_of(key: int) -> int:
    """Return the sampling offset of the object with this key, in [0, 300) seconds."""
    return (key >> 17) % STEP_S


def newest_sample(key: int, now: float) -> int:
    """Return the epoch second of the object's newest sample at ``now``."""
    phase = phase_of(key)
    return (int(now) - phase) // STEP_S * STEP_S + phase
