"""Reads parts of one service, keeping what was known where a read fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.offload import in_slices
from bridge.ovh.errors import (
    Call,
    OvhCredentialError,
    OvhError,
    OvhExpiredError,
    OvhNotFoundError,
    OvhRateLimitedError,
    OvhSignatureError,
    OvhTimeoutError,
    OvhUnreachableError,
    broke,
)
from bridge.ovh.objects import OvhObject, Seen
from bridge.ovh.reading import UnreadableError, is_deleted, is_managed, read_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from bridge.ovh.api import OvhApi
    from bridge.ovh.throttle import Clock

ObjectT = TypeVar("ObjectT", bound=OvhObject)
T = TypeVar("T")

HOPELESS = (
    OvhCredentialError,
    OvhExpiredError,
    OvhRateLimitedError,
    OvhSignatureError,
    OvhUnreachableError,
)
"""Errors that the next call of the same service would meet too."""
TOO_LATE = 2
"""Parts not answered in time after which a poll is given up: all of them would take minutes."""


@dataclass(slots=True)
class Round:
    """What happened during one poll of one service.

    Attributes:
        problems: Sentences, in the order they came up.
        reads: How many parts were read.
        late: How many were not answered in time.
    """

    problems: list[str] = field(default_factory=list)
    reads: int = 0
    late: int = 0


class PartReader:
    """Reads lists of ids and the objects behind them.

    Args:
        api: The account's API.
        clock: Epoch seconds.
    """

    def __init__(self, api: OvhApi, *, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._read_at: dict[str, float] = {}

    async def part(
        self,
        current: Round,
        key: str,
        old: T,
        read: Callable[[], Awaitable[T]],
        *,
        every_s: float = 0.0,
        fatal: tuple[type[OvhError], ...] = (),
    ) -> T:
        """Read one part of a service, or return ``old`` when that fails or is not yet due.

        Args:
            current: Gets the problem, or one read more.
            key: Names the part; its path.
            old: What is known so far.
            read: Reads it.
            every_s: For slow-changing parts, the time between two reads.
            fatal: Errors to raise besides ``HOPELESS``.

        Raises:
            OvhError: One of ``HOPELESS`` or ``fatal``, or one part too many was late: the poll
                of the service cannot go on.
        """
        since = self._clock() - self._read_at.get(key, float("-inf"))
        if 0 <= since < every_s:
            return old
        try:
            value = await read()
        except OvhError as error:
            current.late += isinstance(error, OvhTimeoutError)
            if isinstance(error, (*HOPELESS, *fatal)) or current.late >= TOO_LATE:
                raise
            current.problems.append(error.message)
            return old
        current.reads += 1
        self._read_at[key] = self._clock()
        return value

    def forget(self, prefix: str) -> None:
        """Read every part under ``prefix`` anew next time, however slow-changing."""
        for key in [key for key in self._read_at if key.startswith(prefix)]:
            del self._read_at[key]

    async def ids(self, path: str, query: Mapping[str, str | Sequence[str]] | None = None,
                  ) -> tuple[int, ...]:  # fmt: skip
        """Return a list of ids.

        Raises:
            OvhError: Also when the answer is anything but a list of integers.
        """
        answer = await self._api.get(path, query)
        if not isinstance(answer, list) or not all(type(key) is int for key in answer):
            raise broke(Call("GET", path), "a list of ids was expected")
        return tuple(dict.fromkeys(answer))

    async def one(self, path: str, model: type[ObjectT]) -> Seen[ObjectT]:
        """Return a single object.

        Raises:
            OvhError: Also when the answer is no such object.
        """
        answer = await self._api.get(path)
        if not isinstance(answer, dict):
            raise broke(Call("GET", path), "an object was expected")
        try:
            return self._seen(model, answer)
        except UnreadableError as error:
            raise broke(Call("GET", path), f"{error} came") from None

    async def many(
        self,
        current: Round,
        path: str,
        ids: Collection[int],
        model: type[ObjectT],
        old: Mapping[int, Seen[ObjectT]],
    ) -> Mapping[int, Seen[ObjectT]]:
        """Return the objects behind ``ids``.

        One that cannot be read keeps its last value, with that value's ``read_at``; one that
        is gone by now is left out, unless all of them are.

        Raises:
            OvhError: When no object could be read, or see ``HOPELESS``.
        """
        answers = await self._api.batch(path, tuple(ids))
        objects: dict[int, Seen[ObjectT]] = {}
        failures: list[OvhError] = []
        gone: list[OvhError] = []
        items = ((key, self._item(path, key, model, answers[key])) for key in ids)
        for key, seen in await in_slices(items, len(ids)):
            if isinstance(seen, Seen):
                objects[key] = seen
            elif isinstance(seen, OvhNotFoundError):
                # Removed between the list and this read: the list is old.
                self.forget(path)
                gone.append(seen)
            else:
                failures.append(seen)
                if key in old:
                    objects[key] = old[key]
        if gone and len(gone) == len(ids):
            # Nothing of all that is listed: a new list will tell, this answer does not.
            raise gone[0]
        if failures:
            first = failures[0]
            if len(failures) == len(ids):
                raise first
            current.problems.append(f"{len(failures)} of {len(ids)} failed: {first.message}")
        return MappingProxyType(objects)

    def _item(
        self, path: str, key: int, model: type[ObjectT], answer: Mapping[str, Any] | OvhError
    ) -> Seen[ObjectT] | OvhError:
        if isinstance(answer, HOPELESS):
            raise answer
        if isinstance(answer, OvhError):
            return answer
        try:
            return self._seen(model, answer)
        except UnreadableError as error:
            return broke(Call("GET", f"{path}/{key}"), f"{error} came")

    def _seen(self, model: type[ObjectT], raw: Mapping[str, Any]) -> Seen[ObjectT]:
        value = read_object(model, raw)
        return Seen(value, self._clock(), managed=is_managed(value), deleted=is_deleted(value))
