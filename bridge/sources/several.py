"""Several sources asked side by side, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from bridge.errors import BadRequestError, BridgeError, NotOfferedError, TooMuchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bridge.model import Source

ResultT = TypeVar("ResultT")


async def ask_all(
    sources: Sequence[Source],
    fetch: Callable[[Source], Awaitable[tuple[ResultT, ...]]],
    *,
    on_missing: Callable[[str], None] | None,
) -> list[tuple[ResultT, ...]]:
    """Ask every source at the same time and return their answers, in the order of sources.

    A source that does not offer what is asked is no failure: it answers nothing, unless
    none offers it.

    Args:
        sources: At least one.
        fetch: Asks one of them.
        on_missing: Told of each source that fails; None makes a failure everybody's.

    Raises:
        BridgeError: The foremost failure, where it cannot be left out: nobody is told of
            it, it is the client's fault, or no source has answered.
    """
    outcomes = await asyncio.gather(*(_outcome(fetch, source) for source in sources))
    failures = [
        (source, outcome)
        for source, outcome in zip(sources, outcomes, strict=True)
        if isinstance(outcome, BridgeError)
    ]
    absent = [error for _, error in failures if isinstance(error, NotOfferedError)]
    broken = [(source, e) for source, e in failures if not isinstance(e, NotOfferedError)]
    nobody = len(failures) == len(outcomes)
    for source, error in broken:
        if on_missing is None or nobody or isinstance(error, (BadRequestError, TooMuchError)):
            raise error
        on_missing(f"{source.name} is missing: {error.message}")
    if nobody:
        raise absent[0]
    return [() if isinstance(outcome, BridgeError) else outcome for outcome in outcomes]


async def _outcome(
    fetch: Callable[[Source], Awaitable[tuple[ResultT, ...]]], source: Source
) -> tuple[ResultT, ...] | BridgeError:
    try:
        return await fetch(source)
    except BridgeError as error:
        return error
