"""The HTTP face of the simulated Warp 10: two routes, and its error pages."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from bridge.demo.erlenmeyer.selectors import BackendError, selector
from bridge.demo.warp10.scripts import ScriptError, Scripts, UnknownScriptError
from bridge.demo.warp10.versions import Dialect, Limits

if TYPE_CHECKING:
    from starlette.requests import Request

    from bridge.demo.shelf import Shelf
    from bridge.demo.warp10.scripts import Tokens
    from bridge.demo.warp10.versions import Version

PREFIX = "/warp10"
_EXEC = "/api/v0/exec"
_FIND = "/api/v0/find"
_UNIT = {"X-Warp10-Timeunit": "1000000"}
_SELECTOR = re.compile(r"([^{]+)\{\}")


@dataclass(slots=True)
class Counters:
    """What tests want to know about the traffic."""

    scripts: int = 0
    unknown_scripts: int = 0

    def clear(self) -> None:
        """Start again at zero."""
        self.scripts = self.unknown_scripts = 0


class Warp10:
    """OVHcloud's Warp 10 over a shelf of series.

    Args:
        shelf: The data.
        tokens: Who may read it.
        version: Whose words it speaks.
        limits: What one script may do.
        application: The platform's own label of every series.
    """

    def __init__(
        self,
        shelf: Shelf,
        tokens: Tokens,
        *,
        version: Version = "2.11.1",
        limits: Limits | None = None,
        application: str = "vscope",
    ) -> None:
        self._shelf = shelf
        self._tokens = tokens
        self._dialect = Dialect(version)
        self._application = application
        self._scripts = Scripts(shelf, tokens, self._dialect, limits or Limits(), application)
        self.counters = Counters()

    async def answer(self, request: Request) -> Response:
        """Answer any request whose path begins with the prefix."""
        path = request.url.path.removeprefix(PREFIX)
        if path == _EXEC and request.method == "POST":
            script = (await request.body()).decode(errors="replace")
            return await run_in_threadpool(self._exec, script)
        if path == _FIND and request.method == "GET":
            return self._find(request)
        return self._dialect.page(404, "Not Found", path)

    def _exec(self, script: str) -> Response:
        self.counters.scripts += 1
        started = time.perf_counter_ns()
        try:
            stack, fetched = self._scripts.run(script)
        except ScriptError as error:
            self.counters.unknown_scripts += isinstance(error, UnknownScriptError)
            headers = {
                **_UNIT,
                "X-Warp10-Error-Line": str(error.line),
                "X-Warp10-Error-Message": _on_one_line(error.message),
            }
            return self._dialect.page(
                500, f"ERROR line #{error.line}: {error.message}", _EXEC, headers
            )
        elapsed = str(time.perf_counter_ns() - started)
        headers = {**_UNIT, "X-Warp10-Elapsed": elapsed, "X-Warp10-Fetched": str(fetched)}
        return Response(stack, headers=headers)

    def _find(self, request: Request) -> Response:
        token = request.headers.get("x-warp10-token")
        if token is None:
            return self._dialect.page(403, "Missing token.", _FIND)
        if not self._tokens.may_read(token):
            return self._dialect.unknown_token(_FIND)
        asked = _SELECTOR.fullmatch(request.query_params.get("selector", ""))
        if asked is None or request.query_params.get("format") != "json":
            return self._dialect.page(400, "Bad Request", _FIND)
        try:
            names = self._shelf.names(selector(unquote_plus(asked.group(1))), {})
        except BackendError:
            return self._dialect.page(500, "Server Error", _FIND)
        found = ",\n".join(
            orjson.dumps(
                {
                    "c": name.metric,
                    "l": {**name.labels, ".app": self._application},
                    "a": {},
                    "la": 0,
                }
            ).decode()
            for name in names
        )
        return Response(f"[\n{found}\n]\n")


def _on_one_line(message: str) -> str:
    return " ".join(message.split("\n")).encode("latin-1", "replace").decode("latin-1")
