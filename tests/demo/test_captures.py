"""The simulated Erlenmeyer against recorded answers of the real one."""

from __future__ import annotations

import base64
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.demo import DemoOptions, create_simulator
from tests.demo.lab import DENIED_TOKEN, READ_TOKEN, SHELVES, erlenmeyer_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

FIXTURES = Path(__file__).parents[1] / "fixtures" / "erlenmeyer"
NOW = 1_700_100_000.0
RAN_AS_CODE = "the recording shows text that ran as code; the simulator refuses such text"
EXCLUDED = {
    "down_suggest": "quotes the internal address of the recorder's backend",
    "inject_metric_cr_exec": RAN_AS_CODE,
    "inject_metric_cr_exec.v3.5.0": RAN_AS_CODE,
    "inject_metric_lf_exec": RAN_AS_CODE,
    "inject_metric_quote": RAN_AS_CODE,
    "inject_metric_stop_constant": RAN_AS_CODE,
    "inject_tagv_quote": RAN_AS_CODE,
    "r_metrics": "Prometheus figures about the recorder's own requests",
}
#: Only status and content type are held: the text is another Warp 10 version's error page.
ONLY_STATUS = {"suggest_bad_token"}
WHOLE_SIMULATOR = {"p_root", "p_unprefixed"}
#: The first letter of Warp 10's message: of 2.11.1 and 3.5.0, and of the stand-in.
LETTERS = {"lab": "E", "limit": "E", "guide": "i", "down": "i"}
#: Recorded with stand-ins whose messages began with another letter.
OTHER_LETTER = {"err_E": "E", "err_noheader": "H"}
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


CUSTOM = {
    "auth_bearer_b64": _basic(f"read:{READ_TOKEN}").replace("Basic", "Bearer"),
    "auth_bearer_raw": f"Bearer {READ_TOKEN}",
    "auth_denied": _basic(f"read:{DENIED_TOKEN}"),
    "auth_empty_password": _basic("read:"),
    "auth_no_colon": _basic("no colon in here"),
    "auth_not_base64": "Basic *not base64*",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(
                serving(erlenmeyer_app(shelf, lambda: NOW, error_letter=LETTERS[name]))
            )
            for name, shelf in SHELVES.items()
        }
        simulator = create_simulator(DemoOptions(vms=1), clock=lambda: NOW)
        yield {**found, "whole": stack.enter_context(serving(simulator))}


def _shelf(name: str, capture: dict[str, Any]) -> str:
    if name in WHOLE_SIMULATOR:
        return "whole"
    if name.startswith(("down_", "backend_")):
        return "down"
    if "limit" in name or "max_gts" in name:
        return "limit"
    return "guide" if "STAND-IN" in capture.get("backend", "") else "lab"


def _authorization(name: str, recorded: str) -> str:
    if recorded == "<custom>":
        return CUSTOM[name]
    good = recorded in {"Basic <read:token>", "Basic base64(read:<read-token>)"}
    return _basic(f"read:{READ_TOKEN}" if good else "read:OTHERTOKEN.0002")


def _send(client: httpx.Client, base: str, name: str, request: dict[str, Any]) -> httpx.Response:
    headers = dict(request["headers"])
    if "Authorization" in headers:
        headers["Authorization"] = _authorization(name, headers["Authorization"])
    if "X-Warp10-Token" in headers:
        headers["X-Warp10-Token"] = READ_TOKEN
    body = request["body"]
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    path = request["path"].replace("<read:token>", READ_TOKEN)
    if body is not None:
        body = body.replace("<read:token>", READ_TOKEN)
    return client.request(request["method"], base + path, headers=headers, content=body)


def _order(value: Any) -> Any:
    """Put what the original orders by chance into a fixed order."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    if isinstance(value, list):
        return sorted((_order(item) for item in value), key=json.dumps)
    if isinstance(value, dict):
        ordered = {key: _order(item) for key, item in sorted(value.items())}
        if ordered.get("type") == "LOOKUP":
            assert isinstance(ordered.pop("time"), int)
        return ordered
    return value


def test_every_capture_is_held_or_excluded() -> None:
    assert len(NAMES) > 160
    assert set(NAMES) >= set(EXCLUDED) | ONLY_STATUS | WHOLE_SIMULATOR | set(CUSTOM)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EXCLUDED])
def test_answers_as_recorded(client: httpx.Client, servers: dict[str, str], name: str) -> None:
    capture = json.loads((FIXTURES / f"{name}.json").read_text())
    recorded = capture["response"]

    answer = _send(client, servers[_shelf(name, capture)], name, capture["request"])

    assert answer.status_code == recorded["status"]
    assert answer.headers.get("content-type") == recorded["headers"].get("Content-Type")
    assert answer.headers.get("allow") == recorded["headers"].get("Allow")
    if name in ONLY_STATUS:
        return
    if "application/json" in answer.headers.get("content-type", ""):
        assert _order(answer.json()) == _order(json.loads(recorded["body"]))
        assert answer.text.endswith("\n") == recorded["body"].endswith("\n")
    else:
        expected = recorded["body"].replace(f"'{OTHER_LETTER.get(name, 'i')}'", "'i'")
        assert answer.text == expected


def test_erlenmeyer_marks_every_answer(client: httpx.Client, servers: dict[str, str]) -> None:
    answer = client.get(servers["guide"] + "/opentsdb/api/query")

    assert re.fullmatch("[0-9A-Z]{26}", answer.headers["X-App-Txn"])
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "www-authenticate" not in answer.headers
