"""The pages and their addresses."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.routing import Route

from bridge.doors.http import clipped
from bridge.doors.page.assets import Assets
from bridge.doors.page.explorer import WHOLE, explore
from bridge.doors.page.form import read_form
from bridge.doors.page.html import Pages
from bridge.doors.page.objects import KINDS, heading
from bridge.doors.page.paste import Place, take_table
from bridge.doors.page.tables import live_page, read_table_form
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.doors.doorway import Doorway
    from bridge.doors.page.status import Status


@dataclass(frozen=True, slots=True)
class Site:
    """The bridge's own page.

    Attributes:
        doorway: What every door is given.
        status: Gives the overview; asks no upstream.
        answer_s: Seconds that a graph may take.
    """

    doorway: Doorway
    status: Callable[[], Awaitable[Status]]
    answer_s: float
    _assets: Assets = field(default_factory=Assets)
    _pages: Pages = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pages", Pages(self._assets))

    def routes(self) -> list[Route]:
        """Return every address but ``/``, which datasource tests ask as well."""
        return [
            Route("/explore", self.explore, methods=["GET"]),
            Route("/live", self.live, methods=["GET"]),
            self._assets.route(),
        ]

    async def home(self, request: Request) -> Response:
        """Answer the overview."""
        context = {
            "status": await self.status(),
            "base": _place(request).base,
            "now_s": self.doorway.clock(),
            "here": "overview",
        }
        return await self._pages.answer("overview.html", context)

    async def explore(self, request: Request) -> Response:
        """Answer the metrics to choose from, or a graph of one."""
        place = _place(request)
        try:
            form = read_form(request.query_params)
        except BadRequestError as error:
            return await self._refused("explore", error)
        made = await explore(self.doorway, form, place, answer_s=self.answer_s)
        context = {"here": "explore", **made.context}
        return await self._pages.answer(made.template, context, made.status)

    async def live(self, request: Request) -> Response:
        """Answer a live table."""
        place = _place(request)
        try:
            form = read_table_form(request.query_params)
        except BadRequestError as error:
            return await self._refused("live", error)
        context = {
            "here": "live",
            "form": form,
            "kinds": KINDS,
            "heading": heading,
            "table": None,
            "problems": {},
            "unread": not self.doorway.snapshot().services,
        }
        try:
            table = await live_page(self.doorway, form)
        except BadRequestError as error:
            name = error.field if error.field in {*form.filters, "sort", "tz"} else WHOLE
            problems = {"problems": {name: clipped(error.message)}}
            return await self._pages.answer("live.html", context | problems, error.status)
        more = {"table": table, "taken": take_table(table.target, place)}
        return await self._pages.answer("live.html", context | more)

    async def _refused(self, here: str, error: BadRequestError) -> Response:
        """Answer an address that cannot be read at all."""
        place = f"{error.field}: " if error.field else ""
        context = {"here": here, "message": f"{place}{clipped(error.message)}"}
        return await self._pages.answer("refused.html", context, error.status)


def _place(request: Request) -> Place:
    """Return where and as whom the bridge was asked; no password is kept."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    user = ""
    if scheme.lower() == "basic":
        try:
            user = base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            user = ""
    return Place(str(request.base_url).rstrip("/"), user)
