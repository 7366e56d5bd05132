"""OVHcloud's metrics platform over given series, by both of its protocols."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from bridge.demo.erlenmeyer.front import Erlenmeyer
from bridge.demo.shelf import Name, StoredSeries
from bridge.demo.tokens import VscopeTokens
from bridge.demo.warp10.front import Warp10
from bridge.ovh.token import VscopeToken
from tests.demo.lab import ListShelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.demo.warp10.versions import Limits, Version

BASE_S = 1_700_000_100 - 1_700_000_100 % 3600
RNG = np.random.default_rng(7)
GLOBAL = {"datastore": "global-1"}


def line(tags: Mapping[str, str], stamps: Sequence[float]) -> StoredSeries:
    """Make a series; stamps are seconds since ``BASE_S``."""
    return StoredSeries(
        Name("lab.used" if "datastore" in tags else "lab.cap", {**tags, ".app": "vscope"}),
        np.array([round((BASE_S + s) * 1_000_000) for s in stamps], dtype=np.int64),
        RNG.normal(50, 20, len(stamps)),
    )


SERIES = (
    line({"datacenter": "d1", "vm": "vm-1"}, range(17, 7200, 60)),
    line({"datacenter": "d1", "vm": "vm-2"}, range(3, 2500, 60)),  # dies
    line({"datacenter": "d2", "vm": "vm-3"}, [*range(5, 1500, 60), *range(4000, 7200, 60)]),
    line({"datacenter": "d1", "datastore": "one"}, range(0, 7200, 300)),
    line(GLOBAL, range(0, 7200, 300)),
    line({**GLOBAL, "datacenter": "d2"}, range(0, 7200, 300)),
)


class Lab:
    """The platform, its valid tokens and what it was asked; hands tokens out as well.

    Args:
        series: What it stores.
        version: Of Warp 10.
        limits: Of Warp 10.
    """

    def __init__(
        self,
        series: Sequence[StoredSeries] = SERIES,
        *,
        version: Version = "2.11.1",
        limits: Limits | None = None,
    ) -> None:
        self.tokens = VscopeTokens(1)
        self.url = ""
        self.asked: list[bytes] = []
        self.routes: Counter[str] = Counter()
        self.names_warp10 = True
        shelf = ListShelf(series)
        erlenmeyer = Erlenmeyer(shelf, self.tokens, time.time)
        self.warp10 = Warp10(shelf, self.tokens, version=version, limits=limits)

        async def answer(request: Request) -> Response:
            self.asked.append(await request.body())
            self.routes[request.url.path.rpartition("/")[2]] += 1
            front = erlenmeyer if request.url.path.startswith("/opentsdb") else self.warp10
            return await front.answer(request)

        self.app = Starlette(
            routes=[
                Route(f"/{prefix}/{{path:path}}", answer, methods=["GET", "POST"])
                for prefix in ("opentsdb", "warp10")
            ]
        )

    async def get(self) -> VscopeToken:
        return VscopeToken(
            secret=SecretStr(self.tokens.issue("admin")),
            opentsdb_endpoint=f"{self.url}/opentsdb",
            warp_endpoint=f"{self.url}/warp10" if self.names_warp10 else None,
            warp_problem="" if self.names_warp10 else "none is named",
        )

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        assert rejected.secret.get_secret_value()
        return await self.get()


class RevokedOnce(Lab):
    """Hands out a token that is no longer valid first."""

    how = "revoke"

    async def get(self) -> VscopeToken:
        token = await super().get()
        getattr(self.tokens, self.how)()
        return token

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        fresh = await super().get()
        assert fresh.secret != rejected.secret
        return fresh
