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


def about(**known: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these keys, most of them sensible, some with anything in them."""
    mixed = {key: st.one_of(strategy, strategy, VALUES) for key, strategy in known.items()}
    return st.fixed_dictionaries({}, optional=mixed)


RANGES = st.just({"from": (NOW - 7200) * 1000, "to": NOW * 1000}) | about(
    **{"from": st.integers(0, NOW * 1000), "to": TEXTS}
)
PAYLOADS = st.dictionaries(
    st.sampled_from(["vm", "cluster", "aggregator", "group_by", "function", "fill", "legend"])
    | st.sampled_from(["downsample", "rate", "format", "hidden", "target", "type", "x"]),
    TEXTS | st.lists(TEXTS, max_size=2) | VALUES,
    max_size=3,
)
TARGETS = about(
    target=TEXTS,
    refId=st.sampled_from(["A", "B"]),
    payload=PAYLOADS,
    type=TEXTS,
    hide=st.booleans(),
)
FILTERS = about(key=TEXTS, operator=TEXTS, value=TEXTS, values=st.lists(TEXTS, max_size=2))
BODIES = about(
    target=TEXTS,
    targets=st.lists(TARGETS, max_size=3),
    range=RANGES,
    intervalMs=st.integers(1, 10**9),
    maxDataPoints=st.integers(1, 10**9),
    adhocFilters=st.lists(FILTERS, max_size=2),
    filters=st.lists(FILTERS, max_size=2),
    annotation=about(query=TEXTS),
    payload=PAYLOADS,
    metric=TEXTS,
    name=TEXTS,
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
