"""Runs the scripts that the bridge sends, and no others.

Told apart by their text; what they do is written out here. That the text means just that
is tested with a small stack machine.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from bridge.demo.erlenmeyer.buckets import bucketize
from bridge.demo.erlenmeyer.selectors import BackendError, selector
from bridge.demo.shelf import FetchLimitError
from bridge.sources.warpscript import BUCKETS, POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.demo.shelf import Shelf, StoredSeries
    from bridge.demo.warp10.versions import Dialect, Limits

_DATA = re.compile(r"'([A-Za-z0-9_-]*)'")
_KNOWN = {
    text: (script is BUCKETS, text == script.raised)
    for script in (BUCKETS, POINTS)
    for text in (script.plain, script.raised)
}
_FETCH = "FETCHDOUBLE"
_FUNCTIONS = frozenset({"mean", "sum", "count", "min", "max", "first", "last"})


class Tokens(Protocol):
    """Who may read."""

    def may_read(self, token: str) -> bool:
        """Tell whether a token is valid."""

    def expired(self, token: str) -> bool:
        """Tell whether a token was valid once."""


class ScriptError(Exception):
    """The script stops.

    Attributes:
        line: In which of its lines.
        message: Warp 10's own words.
    """

    def __init__(self, line: int, word: str, reason: str, *, before: str = "") -> None:
        self.line = line
        self.message = f"Exception at '{before}=>{word}<=' in section [TOP] ({reason})"
        super().__init__(self.message)


class UnknownScriptError(ScriptError):
    """Not one of the bridge's scripts, or not with its kind of data."""


@dataclass(frozen=True, slots=True)
class _Run:
    parameters: Mapping[str, Any]
    buckets: bool
    raised: bool

    @property
    def line(self) -> int:
        """Where it fetches."""
        return 5 if self.raised else 4


class Scripts:
    """Warp 10's interpreter, as far as the bridge needs it.

    Args:
        shelf: The data.
        tokens: Who may read it.
        dialect: The version's words.
        limits: What a script may do.
        application: The platform's own label of every series.
    """

    def __init__(
        self, shelf: Shelf, tokens: Tokens, dialect: Dialect, limits: Limits, application: str
    ) -> None:
        self._shelf = shelf
        self._tokens = tokens
        self._dialect = dialect
        self._limits = limits
        self._application = application

    def run(self, script: str) -> tuple[bytes, int]:
        """Return the stack as JSON, and how many points were fetched.

        Raises:
            ScriptError: The script fails.
        """
        run = _recognised(script)
        try:
            found = self._fetch(run)
            fetched = sum(len(one.values) for one in found)
            stack: Any = self._bucketized(run, found) if run.buckets else self._listed(found)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise UnknownScriptError(run.line, _FETCH, f"{_FETCH} expects 5 parameters.") from None
        return orjson.dumps([stack]), fetched

    def _fetch(self, run: _Run) -> Sequence[StoredSeries]:
        given = run.parameters
        limit = self._raised(given) if run.raised else self._limits.points
        refusal = self._refused(given["token"])
        if refusal is not None:
            reason = f"{_FETCH} given an invalid read token. ({refusal})"
            raise ScriptError(run.line, _FETCH, reason)
        metric = selector(given["class"])
        try:
            labels = {key: selector(text) for key, text in given["labels"].items()}
        except BackendError as error:
            reason = f"{_FETCH} failed. ({error.__cause__})"
            raise ScriptError(run.line, _FETCH, reason) from None
        series = len(self._shelf.names(metric, labels))
        if series > self._limits.series:
            self._exceeded(run, self._limits.series, "Geo Time Series", self._limits.series + 1)
        start = given["end"] - given["timespan"] + 1
        try:
            found = self._shelf.select(
                metric, labels, start, given["end"], self._limits.points_hard
            )
            count = sum(len(one.values) for one in found)
        except FetchLimitError:
            count = self._limits.points_hard + 1
        if count > limit:
            self._exceeded(run, limit, "datapoints", count)
        return found

    def _raised(self, given: Mapping[str, Any]) -> int:
        """Authenticate and return the limit asked for."""
        token, limit = given["token"], int(given["limit"])
        if not self._dialect.knows_authenticate:
            reason = "Unknown function 'AUTHENTICATE'"
            raise ScriptError(3, "AUTHENTICATE", reason, before="$p 'token' GET ")
        refusal = self._refused(token)
        if refusal is not None:
            raise ScriptError(3, "AUTHENTICATE", refusal, before="$p 'token' GET ")
        if limit > self._limits.points_hard:
            reason = f"LIMIT cannot extend limit past {self._limits.points_hard}"
            raise ScriptError(3, "LIMIT", reason, before="$p 'limit' GET ")
        return limit

    def _refused(self, token: str) -> str | None:
        if self._tokens.may_read(token):
            return None
        return "Token Expired." if self._tokens.expired(token) else "Invalid token."

    def _exceeded(self, run: _Run, limit: int, what: str, count: int) -> None:
        text = f"{_FETCH} exceeded limit of {limit} {what}, current count is {count}"
        raise ScriptError(run.line, _FETCH, self._dialect.limit(text))

    def _listed(self, found: Sequence[StoredSeries]) -> list[dict[str, Any]]:
        return [self._series(one, one.stamps_us, one.values) for one in found]

    def _bucketized(self, run: _Run, found: Sequence[StoredSeries]) -> list[list[dict[str, Any]]]:
        given = run.parameters
        last, span, count = given["lastbucket"], given["bucketspan"], given["bucketcount"]
        if not found:
            return [[] for _ in given["functions"]]
        if count > self._limits.buckets:
            most = self._limits.buckets
            text = f"Bucket count ({count}) would exceed maximum value of {most}"
            reason = (
                "Exception at 'LMAP' in section '[TOP]' (Exception at 'BUCKETIZE' in section "
                f"'[TOP]' ({self._dialect.limit(text)}))"
            )
            raise ScriptError(run.line + 8, "LMAP", reason)
        lists = []
        for function in given["functions"]:
            if function not in _FUNCTIONS:
                raise KeyError(function)
            grid = bucketize(
                found,
                "avg" if function == "mean" else function,
                span_us=span,
                start_us=last - count * span,
                end_us=last,
                every=False,
            )
            whole = function == "count"
            lists.append(
                [
                    self._series(one, grid.stamps_us[present], values[present], whole=whole)
                    for one, present, values in zip(found, grid.present, grid.values, strict=True)
                ]
            )
        return lists

    def _series(
        self,
        one: StoredSeries,
        stamps: NDArray[np.int64],
        values: NDArray[np.float64],
        *,
        whole: bool = False,
    ) -> dict[str, Any]:
        numbers = values.astype(np.int64).tolist() if whole else values.tolist()
        if not np.isfinite(values).all():
            numbers = [_strict(value) for value in numbers]
        return {
            "c": one.name.metric,
            "l": {**one.name.labels, ".app": self._application},
            "a": {},
            "la": 0,
            "v": list(zip(stamps.tolist(), numbers, strict=True)),
        }


def _recognised(script: str) -> _Run:
    first, _, text = script.partition("\n")
    data = _DATA.fullmatch(first)
    if data is None:
        raise UnknownScriptError(1, *_unknown(first))
    if text not in _KNOWN:
        raise _odd_one_out(text)
    try:
        decoded = base64.urlsafe_b64decode(data.group(1) + "==")
        parameters = orjson.loads(decoded)
    except (binascii.Error, orjson.JSONDecodeError):
        raise UnknownScriptError(2, "JSON->", "Invalid JSON") from None
    buckets, raised = _KNOWN[text]
    return _Run(parameters, buckets=buckets, raised=raised)


def _odd_one_out(text: str) -> UnknownScriptError:
    """Complain about the first line that is in none of the known scripts."""
    known = {line for script in _KNOWN for line in script.splitlines()}
    for number, line in enumerate(text.splitlines(), start=2):
        if line not in known:
            return UnknownScriptError(number, *_unknown(line))
    return UnknownScriptError(2, *_unknown(text))


def _unknown(line: str) -> tuple[str, str]:
    word = line.strip().partition(" ")[0]
    return word, f"Unknown function '{word}'"


def _strict(value: float) -> float | str:
    """Write a number as strict JSON can."""
    if np.isfinite(value):
        return value
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
