"""Many objects with one call: ``GET path/1,2,3`` with ``X-Ovh-Batch: ,``.

No OVHcloud guide describes it, only working clients do (reference: ovh 3.2), so it is
optional here: a server that does not understand it is asked one by one, and not asked for a
batch of the same kind again for a while.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from cachetools import TTLCache

from bridge.ovh.errors import (
    Call,
    OvhBrokeError,
    OvhError,
    OvhNotFoundError,
    OvhRefusedError,
    OvhTimeoutError,
    broke,
    pattern,
)
from bridge.ovh.refusals import Redact, item_refusal
from bridge.ovh.together import together

if TYPE_CHECKING:
    from bridge.ovh.throttle import Clock

CHUNK = 40
"""Ids in one call; the documented maximum is unknown, a working client uses 40."""
UNSUPPORTED_S = 3600.0
"""How long a path pattern is read one by one after a batch was not understood."""
_BROKEN_ENOUGH = 3

Fetch = Callable[[str, Mapping[str, str]], Awaitable[Any]]
Result = Mapping[str, Any] | OvhError

_KEY = re.compile("[0-9]{1,18}")

log = structlog.get_logger(__name__)


class BatchReader:
    """Reads objects by id, as few calls as the server allows.

    Args:
        fetch: GETs a path with extra headers and returns decoded JSON, raising OvhError.
        redact: Removes the account's secrets from text.
        clock: Seconds.
    """

    def __init__(self, fetch: Fetch, *, redact: Redact, clock: Clock) -> None:
        self._fetch = fetch
        self._redact = redact
        self._one_by_one: TTLCache[str, bool] = TTLCache(256, UNSUPPORTED_S, timer=clock)

    async def read(self, path: str, ids: Sequence[int]) -> dict[int, Result]:
        """Return the object, or the error, of each id.

        Raises:
            OvhError: What concerns all ids alike: credential, rate limit, no connection, an
                expired service, or OVHcloud broken for each of the first few ids.
        """
        unique = list(dict.fromkeys(ids))
        chunks = [unique[start : start + CHUNK] for start in range(0, len(unique), CHUNK)]
        answers: dict[int, Result] = {}
        for answer in await together(*(self._chunk(path, chunk) for chunk in chunks)):
            answers.update(answer)
        return answers

    async def _chunk(self, path: str, ids: Sequence[int]) -> dict[int, Result]:
        kind = pattern(path)
        if len(ids) > 1 and kind not in self._one_by_one:
            target = f"{path}/{','.join(map(str, ids))}"
            try:
                payload = await self._fetch(target, {"X-Ovh-Batch": ","})
                items = _items(payload, ids)
            except (OvhNotFoundError, OvhRefusedError, OvhBrokeError) as error:
                answers = await self._singles(path, ids)
                # Only now: had single reads failed too, the batch would not be to blame.
                # Nor is it remembered when OVHcloud broke; one bad object may do that.
                if error.http_status is None or error.http_status in {501, *range(500)}:
                    self._remember(kind, error.message)
                return answers
            if items is not None:
                return {key: self._result(path, key, items[key]) for key in ids}
            self._remember(kind, "the answer is not a list of the asked keys with their values")
        return await self._singles(path, ids)

    def _remember(self, kind: str, reason: str) -> None:
        if kind not in self._one_by_one:
            log.info("batch_not_supported", path=kind, reason=reason)
        self._one_by_one[kind] = True

    async def _singles(self, path: str, ids: Sequence[int]) -> dict[int, Result]:
        """Read one by one: the first few in turn, the rest at once when those are well."""
        answers: dict[int, Result] = {}
        for tried, key in enumerate(ids, start=1):
            answers[key] = result = await self._single(path, key)
            if not isinstance(result, OvhBrokeError | OvhTimeoutError):
                break
            if tried == min(_BROKEN_ENOUGH, len(ids)) > 1:
                raise result
        rest = [key for key in ids if key not in answers]
        results = await together(*(self._single(path, key) for key in rest))
        answers.update(zip(rest, results, strict=True))
        return answers

    async def _single(self, path: str, key: int) -> Result:
        target = f"{path}/{key}"
        try:
            payload = await self._fetch(target, {})
        except (OvhNotFoundError, OvhRefusedError, OvhBrokeError, OvhTimeoutError) as error:
            return error
        if not isinstance(payload, Mapping):
            return broke(Call("GET", target), "an object was expected")
        return payload

    def _result(self, path: str, key: int, item: Mapping[str, Any]) -> Result:
        call = Call("GET", f"{path}/{key}")
        if item.get("error"):
            return item_refusal(call, item["error"], redact=self._redact)
        value = item.get("value")
        if not isinstance(value, Mapping):
            return broke(call, "an object was expected in the batch")
        return value


def _items(payload: Any, ids: Sequence[int]) -> dict[int, Mapping[str, Any]] | None:
    """Return the items of a batch answer by id, None when it is no such answer.

    Whether ``key`` is a number or a text is not documented; both are taken.
    """
    if not isinstance(payload, list) or len(payload) != len(ids):
        return None
    items: dict[int, Mapping[str, Any]] = {}
    for item in payload:
        if not isinstance(item, Mapping) or not ({"value", "error"} & item.keys()):
            return None
        key = item.get("key")
        if isinstance(key, bool) or not isinstance(key, int | str):
            return None
        if not _KEY.fullmatch(str(key)):
            return None
        items[int(key)] = item
    return items if items.keys() == set(ids) else None
