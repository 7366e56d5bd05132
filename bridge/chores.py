"""Work on the recording that a person starts: look, export, import, verify, back up, copy.

Each piece is a stream of ``Told``: progress, then one result. The same work runs in a command
that has opened the recording itself, and behind the control socket of a running bridge.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bridge.catalog import DISKSPACE_USED
from bridge.errors import BadRequestError, NotOfferedError
from bridge.sources.backfill import Backfill, Journal
from bridge.sources.recorded import KB_PER_GB, Rescaled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from bridge.catalog import Metric
    from bridge.model import Source
    from bridge.sources.history import ExportRequest, History

    Progress = Callable[[int, int], None]

#: The journal of what has been copied, in the recording's folder.
JOURNAL = "backfill.jsonl"

#: Where a backup goes, in the recording's folder: a copy of it is a recording of its own.
BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell a person.

    Attributes:
        text: What is being done, with how far it has come.
        result: Set on the last one only: figures by name, for JSON.
    """

    text: str
    result: Mapping[str, Any] | None = None


class Chores:
    """The work that can be done.

    Args:
        history: The recording, open.
        folder: Where it is.
        catalogue: The metrics.
        upstreams: Gives the sources there are now to copy from.
        changed: Called when points of the past have been written, or left out.
    """

    def __init__(
        self,
        history: History,
        folder: Path,
        catalogue: Mapping[str, Metric],
        upstreams: Callable[[], Sequence[Source]],
        changed: Callable[[], None],
    ) -> None:
        self._history = history
        self._folder = folder
        self._catalogue = catalogue
        self._upstreams = upstreams
        self._changed = changed

    async def stats(self) -> dict[str, Any]:
        """Return what the recording holds."""
        found = asdict(await self._history.stats())
        found["folder"] = str(found["folder"])
        return found

    def export(self, request: ExportRequest) -> AsyncIterator[bytes]:
        """Give points as a stream of bytes."""
        return self._history.export(request)

    async def import_file(self, path: Path) -> AsyncIterator[Told]:
        """Store the points of a file."""
        try:
            async for told in _telling(
                lambda progress: self._history.import_file(path, progress), "{} of {} rows stored"
            ):
                yield told
        finally:
            self._changed()

    async def verify(self) -> AsyncIterator[Told]:
        """Read everything there is."""
        async for told in _telling(self._history.verify, "{} of {} parts read"):
            yield told

    async def compact(self) -> AsyncIterator[Told]:
        """Move all points into files, and roll them up."""
        yield Told("moving points into files")
        done = await self._history.maintain(everything=True)
        yield Told("done", asdict(done))

    async def backup(self) -> AsyncIterator[Told]:
        """Bring the copy in the folder ``backup`` up to date."""
        yield Told("copying")
        done = asdict(await self._history.back_up(self._folder / BACKUP))
        yield Told("done", {**done, "folder": str(done["folder"])})

    async def set_aside(self, path: Path) -> AsyncIterator[Told]:
        """Go on without a damaged file."""
        place = await self._history.set_aside(path)
        self._changed()
        yield Told("done", {"moved_to": None if place is None else str(place)})

    async def backfill(
        self, metrics: Sequence[str], start_ms: int, end_ms: int
    ) -> AsyncIterator[Told]:
        """Copy what upstreams still serve into the recording.

        Args:
            metrics: Names; none means every metric that OVHcloud's own history has.
            start_ms: Start, inclusive.
            end_ms: End, exclusive.

        Raises:
            BadRequestError: An unknown metric.
            NotOfferedError: No source offers any history.
            BridgeError: A source or the recording failed; what was copied stays.
        """
        names = tuple(metrics) or tuple(
            name for name, metric in self._catalogue.items() if metric.ovhcloud
        )
        for name in names:
            if name not in self._catalogue:
                raise BadRequestError(f"No such name for 'metrics': '{name}'", field="metric")
        journal = Journal(self._folder / JOURNAL)
        points = 0
        refused: NotOfferedError | None = None
        offered = []
        for source in self._upstreams():
            work = Backfill(self._in_kb(source), self._history, self._identity, journal)
            copied = 0
            try:
                async for now in work.run(names, start_ms, end_ms):
                    copied = now.points
                    yield Told(
                        f"{source.name}: {now.metric}, day {now.days_done:,} of {now.days:,}, "
                        f"{points + copied:,} points"
                    )
            except NotOfferedError as error:
                refused = error
                continue
            finally:
                self._changed()
            offered.append(source.name)
            points += copied
        if not offered:
            raise refused or NotOfferedError("there is no other history to copy from")
        yield Told("done", {"points": points, "sources": offered})

    def _identity(self, name: str) -> tuple[str, ...]:
        return self._catalogue[name].labels

    def _in_kb(self, source: Source) -> Source:
        """The recording holds space in kB, whatever the source's unit."""
        if self._catalogue[DISKSPACE_USED].unit == "gbytes":
            return Rescaled(source, {DISKSPACE_USED: KB_PER_GB})
        return source


async def _telling(work: Callable[[Progress], Awaitable[Any]], text: str) -> AsyncIterator[Told]:
    """Turn calls of a progress function into a stream; a result is a dataclass."""
    told: asyncio.Queue[Told | None] = asyncio.Queue()

    def progress(done: int, total: int) -> None:
        told.put_nowait(Told(text.format(f"{done:,}", f"{total:,}")))

    task = asyncio.ensure_future(work(progress))
    task.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (one := await told.get()) is not None:
            yield one
        yield Told("done", asdict(task.result()))
    finally:
        task.cancel()
