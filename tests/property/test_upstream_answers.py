"""Whatever upstream answers: a right value, or the reader's own error, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import math
import re
from pathlib import Path
from typing import Any, get_args
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, UpstreamError
from bridge.ovh.batch import BatchReader, _items
from bridge.ovh.errors import Call, OvhError
from bridge.ovh.expiry import _expiration
from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    Datastore,
    Host,
    OvhObject,
    Service,
    Task,
    Vm,
)
from bridge.ovh.reading import UnreadableError, read_object
from bridge.ovh.refusals import item_refusal, refusal
from bridge.ovh.token import TokenKeeper, VscopeToken
from bridge.ovh.wire import _retry_after
from bridge.sources.dps import read_answer
from bridge.sources.erlenmeyer import Erlenmeyer
from bridge.sources.gts import read_stack
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.upstream import Reply
from bridge.sources.warp10 import _listed

FIXTURES = Path(__file__).parents[1] / "fixtures"
GUIDE = json.loads((FIXTURES / "ovh" / "guide-sample.json").read_text())
MODELS: tuple[type[OvhObject], ...] = (Service, Datacenter, Cluster, Host, Datastore, Vm, Task)

odd = st.sampled_from(
    [
        *(None, True, False, 0, -1, 2**63, 1e308, "", "12", "²", "NaN", "Infinity", "nan"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "\ud800"),
        *([], {}, [[]], {"": None}, "\x00", "x" * 5_000),
    ]
)
leaf = st.one_of(odd, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
anything = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value that is not deep inside it."""
    found = [path]
    if len(path) > 5:
        return found
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value[:3]):
            found += places(one, (*path, at))
    return found


@st.composite
def mutated(draw: st.DrawFn, real: Any, changes: int = 3) -> Any:
    """A real answer in which something is replaced, removed or doubled."""
    value = copy.deepcopy(real)
    for _ in range(draw(st.integers(1, changes))):
        path = draw(st.sampled_from(places(value)))
        if not path:
            continue
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        match draw(st.sampled_from(["replace", "remove", "double", "deep"])):
            case "remove":
                del inner[path[-1]]
            case "double" if isinstance(inner, list):
                inner.append(copy.deepcopy(inner[path[-1]]))
            case "deep":
                inner[path[-1]] = deep(draw(st.sampled_from([3, 300, 900])))
            case _:
                inner[path[-1]] = copy.deepcopy(draw(anything))
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")


def cut_and_flipped(body: bytes) -> st.SearchStrategy[bytes]:
    """A body that broke off, or in which a byte is another one."""
    at = st.integers(0, len(body) - 1)
    return st.one_of(
        at.map(lambda end: body[:end]),
        st.builds(lambda i, b: body[:i] + bytes([b]) + body[i + 1 :], at, st.integers(0, 255)),
    )


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


SHORT = [{**one, "dps": dict(list(one["dps"].items())[:6])} for one in GUIDE[:1]]


@given(mutated(SHORT).map(encoded))
def test_points_of_opentsdb(body: bytes) -> None:
    read = by_the_bridge(body)
    if read is not None:
        assert read == carefully(body)


@given(cut_and_flipped(encoded(GUIDE[:1])))
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


# APIv6 --------------------------------------------------------------------------------


def example_of(model: type[OvhObject]) -> dict[str, Any]:
    """An object with every field, as OVHcloud writes them."""
    by_type: dict[Any, Any] = {int: 7, float: 1.5, str: "text", bool: True}
    made: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        fitting = [value for kind, value in by_type.items() if kind in kinds]
        made[field.alias or name] = fitting[0] if fitting else None
    if model is Host:
        made["ram"] = {"unit": "GB", "value": 256}
    if model is Task:
        made["executionDate"] = "2026-01-01T00:00:00+01:00"
    return made


def parsed(model: type[OvhObject], raw: Any) -> OvhObject | None:
    try:
        return read_object(model, raw)
    except UnreadableError:
        return None


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
def test_objects(model: type[OvhObject], data: st.DataObject) -> None:
    whole = example_of(model)
    assert parsed(model, whole) is not None
    raw = data.draw(mutated(whole))
    read = parsed(model, raw)
    if read is None:
        return
    for name, field in model.model_fields.items():
        value, given_value = getattr(read, name), raw.get(field.alias or name)
        if isinstance(value, float):
            assert math.isfinite(value)
        if value is None or value == field.default or isinstance(given_value, dict | list):
            continue
        if name == "name" and (not given_value or given_value is True):
            continue  # a stand-in, so that it can be told from others
        if isinstance(value, bool):
            assert given_value in {True, False, "true", "false"} or str(given_value).lower()
        elif isinstance(value, int | float):
            assert not isinstance(given_value, bool)
            assert float(given_value) == pytest.approx(float(value))
        elif isinstance(value, str):
            assert value == given_value


@given(st.one_of(mutated([{"key": 1, "value": {"a": 1}}, {"key": "2", "error": "x"}]), anything))
def test_batches(payload: Any) -> None:
    items = _items(payload, [1, 2])
    assert items is None or set(items) == {1, 2}

    async def fetch(path: str, headers: Any) -> Any:
        del path, headers
        return payload

    reader = BatchReader(fetch, redact=lambda text: text, clock=lambda: 0.0)
    try:
        read = asyncio.run(reader.read("/x", [1, 2]))
    except OvhError:
        return  # broken for each of the first few
    assert set(read) == {1, 2}
    for one in read.values():
        assert isinstance(one, OvhError | dict)


@given(
    st.sampled_from([200, 301, 400, 401, 403, 404, 408, 429, 460, 500, 503]),
    st.one_of(
        mutated({"errorCode": "X", "message": "m", "httpCode": "403 x", "details": {"a": "b"}}),
        anything,
    ),
)
def test_refusals_of_apiv6(status: int, payload: Any) -> None:
    for error in (
        refusal(Call("GET", "/x"), status, payload, redact=str),
        item_refusal(Call("GET", "/x"), payload, redact=str),
    ):
        assert isinstance(error, OvhError)
        assert error.message.isprintable()
        assert len(error.message) < 1_500


TOKEN = {
    "token": "t",
    "opentsdbEndpoint": "https://a.metrics.ovh.net/",
    "warpEndpoint": "https://b.metrics.ovh.net",
}
keeper = TokenKeeper(Mock(), "pcc-1", user="admin", allowed_hosts=("*.metrics.ovh.net",))


@given(
    st.one_of(
        mutated(TOKEN),
        anything,
        st.text().map(lambda text: {**TOKEN, "opentsdbEndpoint": f"https://{text}"}),
        st.text().map(lambda text: {**TOKEN, "warpEndpoint": f"https://{text}.metrics.ovh.net"}),
    )
)
def test_tokens(payload: Any) -> None:
    try:
        token = keeper._checked(Call("POST", "/x"), payload)
    except UpstreamError as error:
        said = error.message
    else:
        said = ""
        assert isinstance(token, VscopeToken)
    assert said.isprintable()
    if said:
        return
    assert token.secret.get_secret_value() == payload["token"]
    for url in filter(None, (token.opentsdb_endpoint, token.warp_endpoint)):
        assert re.fullmatch(
            r"https://[^/?#@]*\.metrics\.ovh\.net\.?(:\d*)?(/[^?#]*)?", url, re.IGNORECASE
        )


@given(st.one_of(mutated({"expiration": "2026-01-01T00:00:00+01:00"}), anything))
def test_expirations(payload: Any) -> None:
    with contextlib.suppress(OvhError):
        found = _expiration(payload)
        assert found is None or isinstance(found, int)


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=20),
        st.sampled_from(["²", "9" * 5_000, "-1", "1.5", "Mon, 01 Jan 0001 00:00:00 +1400"]),
        st.builds("{}, {:02} Jan {:04} 99:00:00 {}".format, st.text(), st.integers(0, 99),
                  st.integers(0, 9999), st.text()),
    )
)  # fmt: skip
def test_retry_after(text: str) -> None:
    found = _retry_after(text)
    assert found is None or found >= 0
