"""Whatever APIv6 answers: a right value, or the reader's own error, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from typing import Any, get_args
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UpstreamError
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
from tests.property.mutations import anything, mutated

MODELS: tuple[type[OvhObject], ...] = (Service, Datacenter, Cluster, Host, Datastore, Vm, Task)


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


@pytest.mark.parametrize("key", ["²", "9" * 5_000, "", "-1", " 1", True, None, [1], 1.0])
def test_a_key_of_a_batch_that_is_none(key: Any) -> None:
    assert _items([{"key": key, "value": {}}], [1]) is None


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
