"""``serve``: the bridge itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import structlog

from bridge import __version__
from bridge.app import create_app
from bridge.logs import configure_logs
from bridge.serving import listen, serve

if TYPE_CHECKING:
    from bridge.settings import Settings

log = structlog.get_logger(__name__)


def run_bridge(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        ListenError: the address cannot be listened on.
        StartError: the application did not start.
    """
    configure_logs(settings.log_level, settings.log_format)
    listening = listen(settings.host, settings.port)

    async def announce(url: str) -> None:
        log.info(
            "serving",
            url=url,
            version=__version__,
            accounts=[account.name for account in settings.accounts],
            credentials=[credential.name for credential in settings.credentials],
        )

    serve(
        create_app(settings),
        listening,
        meanwhile=announce,
        patience_s=math.ceil(settings.deadline_s),
    )
    log.info("stopped")
