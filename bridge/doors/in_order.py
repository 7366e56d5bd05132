"""The parts of one request at the same time, answered as if one after the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

ResultT = TypeVar("ResultT")


async def in_order(work: Iterable[Coroutine[Any, Any, ResultT]]) -> list[ResultT]:
    """Run all at the same time; the first that fails cancels the others.

    Returns:
        The results, in the order of the work.

    Raises:
        BaseException: The failure of the foremost that failed.
    """
    tasks: list[asyncio.Task[ResultT]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(one) for one in work]
    except BaseExceptionGroup:
        for task in tasks:
            failure = None if task.cancelled() else task.exception()
            if failure is not None:
                raise failure from None
        raise
    return [task.result() for task in tasks]
