"""Whatever upstream answers: a right value, or the reader's own error, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, UpstreamError
from bridge.sources.dps import read_answer
from bridge.sources.erlenmeyer import Erlenmeyer
from bridge.sources.gts import read_stack
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.upstream import Reply
from bridge.sources.warp10 import _listed
from tests.property.mutations import anything, cut_and_flipped, encoded, mutated

FIXTURES = Path(__file__).parents[1] / "fixtures"
GUIDE = json.loads((FIXTURES / "ovh" / "guide-sample.json").read_text())


# OpenTSDB's points ------------------------------------------------------------------

Table = list[tuple[dict[str, str], dict[int, float]]]


def plain_numbers(points: dict[str, Any]) -> dict[int, float]:
    """What a careful person reads.

    Raises:
        ValueError, OverflowError: There is something else than points.
    """
    found = {}
    for stamp, value in points.items():
        if not re.fullmatch("-?[0-9]+", stamp):
            raise ValueError
        if value is None or value in ("NaN", "Infinity", "-Infinity"):
            continue
        if type(value) not in {int, float}:
            raise ValueError
        found[int(stamp)] = float(value)
    return found


def carefully(body: bytes) -> Table | None:
    try:
        answer = json.loads(body)
        read = [(one["tags"], plain_numbers(one["dps"])) for one in answer]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    texts = all(isinstance(text, str) for tags, _ in read for text in tags.values())
    return read if texts else None


def by_the_bridge(body: bytes) -> Table | None:
    try:
        return [
            (dict(one.tags), dict(zip(one.stamps.tolist(), one.values.tolist(), strict=True)))
            for one in read_answer(body, "x")
        ]
    except UpstreamError:
        return None


SHORT = [
    {**one, "dps": dict(list(one["dps"].items())[first : first + 6])}
    for one in GUIDE[:1]
    for first in (0, 0, 6)
]


@given(mutated(SHORT).map(encoded))
def test_points_of_opentsdb(body: bytes) -> None:
    read = by_the_bridge(body)
    if read is not None:
        assert read == carefully(body)


@given(cut_and_flipped(encoded(SHORT)) | cut_and_flipped(encoded(GUIDE[:1])))
def test_broken_points_of_opentsdb(body: bytes) -> None:
    read = by_the_bridge(body)
    if read is not None:
        expected = carefully(body)
        assert expected is not None
        assert [dict(tags) for tags, _ in read] == [tags for tags, _ in expected]
        assert [points for _, points in read] == [points for _, points in expected]


@given(anything.map(encoded))
def test_anything_instead_of_points(body: bytes) -> None:
    read = by_the_bridge(body)
    assert read is None or read == carefully(body)
    with contextlib.suppress(UpstreamError):
        list(read_stack(body, "x", lists=None))
    with contextlib.suppress(UpstreamError):
        list(read_stack(body, "x", lists=1))


# Warp 10's series --------------------------------------------------------------------

STACK = [[{"c": "m", "l": {"vm": "a", ".app": "x"}, "a": {}, "la": 0, "v": [[1, 2.5], [3, 4]]}]]


@given(mutated(STACK).map(encoded))
def test_series_of_warp10(body: bytes) -> None:
    try:
        read = [
            (dict(one.tags), dict(zip(one.stamps.tolist(), one.values.tolist(), strict=True)))
            for _, one in read_stack(body, "x", lists=None)
        ]
    except UpstreamError:
        return
    (members,) = json.loads(body)
    expected = []
    for one in members:
        tags = {key: text for key, text in one["l"].items() if key != ".app"}
        assert all(isinstance(text, str) for text in tags.values())
        points = {stamp: value for stamp, value in one["v"] if not isinstance(value, str)}
        assert all(type(n) in {int, float} for pair in points.items() for n in pair)
        if one["v"]:
            expected.append((tags, {stamp: float(value) for stamp, value in points.items()}))
    assert read == expected


@given(mutated([{"c": "m", "l": {"vm": "a", ".app": "x"}, "a": {}, "la": 0}]).map(encoded))
def test_listed_series_of_warp10(body: bytes) -> None:
    try:
        read = _listed(body, "m")
    except (ValueError, KeyError, TypeError):  # what the caller tells as its own error
        return
    assert all(isinstance(text, str) for tags in read for text in tags.values())


# Look-ups and suggestions ------------------------------------------------------------


class Answering:
    """Stands for the connections: every request gets one answer."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self._reply = Reply(status, "application/json", body)

    async def request(self, *_: Any, **__: Any) -> Reply:
        return self._reply


def source(kind: str, body: bytes, status: int = 200) -> OpenTsdb | Erlenmeyer:
    upstream: Any = Answering(body, status)
    if kind == "opentsdb":
        return OpenTsdb(upstream, "http://x", clock=lambda: 0.0)
    token = Mock(secret=Mock(get_secret_value=lambda: "t"), opentsdb_endpoint="http://x")

    async def give(*_: Any) -> Any:
        return token

    return Erlenmeyer("x", upstream, Mock(get=give, renew=give), clock=lambda: 0.0)


LOOKUP = {
    "type": "LOOKUP",
    "results": [{"tsuid": "A1", "metric": "m", "tags": {"vm": "a", "host": "b"}}],
    "totalResults": 1,
}


@pytest.mark.parametrize("kind", ["opentsdb", "erlenmeyer"])
@given(st.one_of(mutated(LOOKUP), anything).map(encoded))
def test_lookups(kind: str, body: bytes) -> None:
    try:
        read = asyncio.run(source(kind, body).lookup("m", ()))
    except UpstreamError:
        return
    results = json.loads(body)["results"] or []
    assert [dict(tags) for tags in read] == [one["tags"] for one in results]
    assert all(isinstance(text, str) for tags in read for text in tags.values())


@given(st.one_of(mutated(["a", "b"]), anything).map(encoded))
def test_suggestions(body: bytes) -> None:
    try:
        read = asyncio.run(source("opentsdb", body).metric_names("a", 10))
    except UpstreamError:
        return
    assert list(read) == json.loads(body)
    assert all(isinstance(name, str) for name in read)


@given(
    st.one_of(mutated({"error": {"code": 400, "message": "x\ny"}}), anything).map(encoded),
    st.sampled_from([400, 401, 403, 404, 408, 413, 429, 500, 503]),
)
def test_refusals_of_opentsdb(body: bytes, status: int) -> None:
    with pytest.raises(BridgeError) as caught:
        asyncio.run(source("opentsdb", body, status).metric_names("a", 10))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
