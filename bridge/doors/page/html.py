"""HTML out of templates: every text escaped, a strict policy, rendered in slices."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from bridge import __version__
from bridge.doors.page import times, units
from bridge.offload import in_slices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.doors.page.assets import Assets

#: Nothing from elsewhere, nothing inline, not inside another site's frame.
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept, Authorization",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


class Pages:
    """Makes answers from the package's templates.

    Args:
        assets: Where style sheet and script are.
    """

    def __init__(self, assets: Assets) -> None:
        environment = Environment(
            loader=PackageLoader("bridge.doors.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals.update(
            asset=assets.address,
            version=__version__,
            link=link,
            readable=units.readable,
            missing=units.MISSING,
            ago=times.ago,
            unit_name=units.unit_name,
        )
        # Compiled now: a first request would hold up all others while it compiles its own.
        self._templates = {
            name: environment.get_template(name) for name in environment.list_templates()
        }

    async def answer(
        self, template: str, context: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """Render a template beside other requests."""
        work = self._templates[template].generate(**context)
        pieces = await in_slices(work, 0)
        return HTMLResponse("".join(pieces), status, dict(_HEADERS))


def link(page: str, query: Mapping[str, str | list[str]] | None = None) -> str:
    """Return an address relative to the pages, which works behind a proxy's prefix as well."""
    kept = {key: value for key, value in (query or {}).items() if value}
    return f"{page}?{urlencode(kept, doseq=True)}" if kept else page


def wants_html(accept: str) -> bool:
    """Tell whether a browser asks: HTML is named, and nothing is wanted more than it.

    No datasource's test names HTML (reference: grafana 7.1).
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0.0
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)
