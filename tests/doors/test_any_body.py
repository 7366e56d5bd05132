"""No body, however strange, is answered with a failure of the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doors.stand import CPU, NOW
from tests.doors.test_http import ROUTES, assert_union

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

TEXTS = st.sampled_from(
    [
        *("", "A", "Anno", "table", "vm", "vm_name", "=", "!~", "<", "(", "*", "a|b", "(a|b)"),
        *(CPU, f"avg:{CPU}{{cluster=*}}", f"1m-avg:{CPU}", f"{CPU}{{vm=", "live:vm", "live:task"),
        *("live:vm{zone=x}", f"{CPU} as {{{{vm}}}}", f"rate:{CPU}", f"0all-sum:{CPU}", "nope"),
        *("vms()", "vms(", f"tag_values({CPU}, vm)", "nics(*)", "regexp(*)", "select metric"),
        *("2026-01-01T00:00:00Z", "now-6h", "5m", "max", "zero", "true", "rate{counter}"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | TEXTS
    | st.text(max_size=6)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(NOW * 1000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def mostly(usual: st.SearchStrategy[Any], seldom: st.SearchStrategy[Any]) -> Any:
    """The usual thing, or once in twenty times something else."""
    return st.integers(0, 19).flatmap(lambda drawn: seldom if drawn == 19 else usual)


def about(
    required: Mapping[str, Any] | None = None, **optional: Any
) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these keys, nearly all of them sensible, now and then anything in one."""

    def mixed(known: Mapping[str, Any]) -> dict[str, Any]:
        return {key: mostly(one, VALUES) for key, one in known.items()}

    return st.fixed_dictionaries(mixed(required or {}), optional=mixed(optional))


GOOD_RANGE = st.just({"from": (NOW - 7200) * 1000, "to": NOW * 1000})
RANGES = mostly(GOOD_RANGE, about({"from": st.integers(0, NOW * 1000), "to": TEXTS}))
GOOD_TEXTS = st.sampled_from(
    [
        *(CPU, f"avg:{CPU}{{cluster=*}}", f"5m-max-zero:{CPU}{{vm=(vm-101|vm-103)}}"),
        *("live:vm", "live:host{cluster=prod}", f"{CPU} as {{{{vm}}}}", f"rate:{CPU}", ""),
        f"0all-sum:{CPU}",
    ]
)
PAYLOADS: st.SearchStrategy[Any] = st.just({}) | st.fixed_dictionaries(
    {},
    optional={
        "vm": st.sampled_from(["vm-101", ["vm-101", "(vm-102|vm-103)"], "", "regexp(1$)", "*"]),
        "cluster": st.sampled_from(["prod", [], None, 7]),
        "hidden": st.booleans(),
        "format": st.sampled_from(["table", "ts"]),
        "function": st.sampled_from(["max", "count"]),
        "type": st.sampled_from(["vms", "hosts", "nics"]),
        "x": VALUES,
    },
)
TARGETS = about(
    {"target": GOOD_TEXTS},
    refId=st.sampled_from(["A", "B", "Anno"]),
    payload=PAYLOADS,
    type=st.sampled_from(["table", "timeserie"]),
    hide=st.booleans(),
)
FILTERS = about(
    key=st.sampled_from(["vm", "vm_name", "cluster", "zone", "vcpus"]),
    operator=st.sampled_from(["=", "!=", "=~", "!~", "=|", "<"]),
    value=st.sampled_from(["vm-101", "web01", "prod", "1", "", "^w"]),
    values=st.lists(TEXTS, max_size=2),
)
BODIES = about(
    {"range": RANGES, "targets": st.lists(TARGETS, max_size=3)},
    target=TEXTS,
    intervalMs=st.integers(1, 10**9),
    maxDataPoints=st.integers(1, 10**9),
    adhocFilters=st.lists(FILTERS, max_size=2),
    filters=st.lists(FILTERS, max_size=1),
    annotation=about(query=st.sampled_from(["", "live:task", "live:task{state=done}", "x"])),
    payload=PAYLOADS | TEXTS,
    metric=GOOD_TEXTS,
    name=st.sampled_from(["vm", "cluster", "aggregator", "name", "hidden"]),
    key=TEXTS,
    timezone=TEXTS,
    scopedVars=VALUES,
)


@pytest.mark.parametrize("path", ROUTES)
@given(body=BODIES | VALUES)
@settings(max_examples=60, deadline=None)
def test_any_body_is_answered_or_refused(
    client: httpx.Client, base: str, path: str, body: Any
) -> None:
    response = client.post(base + path, content=orjson.dumps(body))
    if response.status_code == 200:
        assert isinstance(response.json(), list)
    else:
        assert response.status_code in {400, 413}
        assert_union(response, response.status_code)
