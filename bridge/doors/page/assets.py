"""The page's own files, each at an address that changes with its content."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)
#: An address stands for one content for ever.
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)


class Assets:
    """Style sheet, script and icon, read once from the package."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._address: dict[str, str] = {}
        for file in files("bridge.doors.page").joinpath("static").iterdir():
            stem, _, ending = file.name.partition(".")
            if ending in _TYPES:
                content = file.read_bytes()
                named = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
                self._content[named] = content
                self._address[file.name] = f"static/{named}"

    def address(self, name: str) -> str:
        """Return where a file is served, relative to the pages."""
        return self._address[name]

    def route(self) -> Route:
        """Return ``/static/{name}``."""

        async def asset(request: Request) -> Response:
            """Answer one file."""
            name = request.path_params["name"]
            content = self._content.get(name)
            if content is None:
                raise HTTPException(404)
            return Response(
                content, headers=dict(_HEADERS), media_type=_TYPES[name.rpartition(".")[2]]
            )

        return Route("/static/{name}", asset, methods=["GET"])
