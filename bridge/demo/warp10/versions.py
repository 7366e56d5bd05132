"""What differs between the two versions of Warp 10 whose answers were recorded."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = Literal["2.11.1", "3.5.0"]

_OLD_PAGE = """<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
<title>Error {status} {message}</title>
</head>
<body><h2>HTTP ERROR {status}</h2>
<p>Problem accessing {path}. Reason:
<pre>    {message}</pre></p>
</body>
</html>
"""
_NEW_PAGE = """<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>
<title>Error {status} {message}</title>
</head>
<body><h2>HTTP ERROR {status} {message}</h2>
<table>
<tr><th>URI:</th><td>{path}</td></tr>
<tr><th>STATUS:</th><td>{status}</td></tr>
<tr><th>MESSAGE:</th><td>{message}</td></tr>
<tr><th>SERVLET:</th><td>-</td></tr>
</table>

</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one script may do, by default and at most.

    Attributes:
        points: Points it may fetch, unless it raises this.
        points_hard: How far it may raise that.
        series: Series it may fetch.
        buckets: Buckets it may make of each.
    """

    points: int = 100_000
    points_hard: int = 20_000_000
    series: int = 100_000
    buckets: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one version words its refusals."""

    version: Version

    @property
    def knows_authenticate(self) -> bool:
        """Whether a script can raise its limits with nothing but a token."""
        return self.version == "2.11.1"

    def limit(self, text: str) -> str:
        """Return the words for an exceeded limit."""
        if self.version == "2.11.1":
            return text
        return f"{text}. Consider raising the limit or using capabilities."

    def page(
        self, status: int, message: str, path: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return an error page."""
        page = _OLD_PAGE if self.version == "2.11.1" else _NEW_PAGE
        shown = escape(message).replace("&#x27;", "&apos;")
        body = page.format(status=status, message=shown, path=path)
        return Response(
            body.encode("latin-1", "replace"),
            status,
            {**(headers or {}), "Content-Type": "text/html;charset=iso-8859-1"},
        )

    def unknown_token(self, path: str) -> Response:
        """Return how the listing refuses a token."""
        if self.version == "2.11.1":
            reason = "io.warp10.script.WarpScriptException: Invalid token."
            return self.page(500, reason, path)
        return self.page(403, "Missing or invalid token.", path)
