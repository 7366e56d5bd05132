"""The simulated OVHcloud as one web application."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bridge.demo.apiv6.credentials import Keys
from bridge.demo.apiv6.front import PREFIXES, ApiV6
from bridge.demo.apiv6.world import World
from bridge.demo.control import Calls, Control
from bridge.demo.erlenmeyer.front import PREFIX, Erlenmeyer, not_found
from bridge.demo.faults import Faults
from bridge.demo.fleet import SERVICE, build_fleets
from bridge.demo.shelf import FleetShelf
from bridge.demo.tokens import VscopeTokens
from bridge.demo.warp10.front import PREFIX as WARP10
from bridge.demo.warp10.front import Warp10

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from bridge.demo.options import DemoOptions

_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]


class Simulator(Starlette):
    """A Starlette application in front of which faults strike.

    Faults act outside of all middleware, where the connection itself can be reached.
    """

    def __init__(self, routes: Sequence[BaseRoute], faults: Faults) -> None:
        super().__init__(routes=routes)
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or let it fail."""
        await self._faults.serve(super().__call__, scope, receive, send)


async def _root(request: Request) -> Response:
    del request
    return Response(status_code=200)


async def _nothing(request: Request) -> Response:
    del request
    return not_found()


def create_simulator(options: DemoOptions, *, clock: Callable[[], float] = time.time) -> Starlette:
    """Build a simulated OVHcloud.

    It serves APIv6 under ``/1.0`` and ``/v1``, the OAuth2 token endpoint at
    ``/auth/oauth2/token``, the OpenTSDB front end under ``/opentsdb``, Warp 10 under
    ``/warp10`` and its own control routes under ``/_simulator``. Its public address is
    taken from each request's Host.

    Args:
        options: Size and behaviour.
        clock: Epoch seconds; its value now fixes when the stories happen.
    """
    fleets = build_fleets(options, clock())
    tokens = VscopeTokens(options.seed)
    keys = Keys(clock, options.rate_limit_per_minute)
    calls, faults = Calls(), Faults()
    shelf = FleetShelf(fleets[SERVICE], clock)
    erlenmeyer = Erlenmeyer(shelf, tokens, clock)
    warp10 = Warp10(shelf, tokens)
    api = ApiV6(World(fleets, options, tokens, clock), options, keys, clock, calls.seen)
    control = Control(faults, tokens, keys, calls, erlenmeyer, warp10, clock)

    async def opentsdb(request: Request) -> Response:
        calls.seen(f"{request.method} {request.url.path}")
        return await erlenmeyer.answer(request)

    async def warp(request: Request) -> Response:
        calls.seen(f"{request.method} {request.url.path}")
        return await warp10.answer(request)

    def every(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=_METHODS)

    return Simulator(
        [
            Route("/", _root),
            *control.routes(),
            Route("/auth/oauth2/token", api.oauth2_token, methods=["POST"]),
            Route("/auth/sso/api", api.validate),
            *(every(f"{prefix}/{{path:path}}", api.answer) for prefix in PREFIXES),
            every(PREFIX, opentsdb),
            every(f"{PREFIX}/{{path:path}}", opentsdb),
            every(f"{WARP10}/{{path:path}}", warp),
            every("/{path:path}", _nothing),
        ],
        faults,
    )
