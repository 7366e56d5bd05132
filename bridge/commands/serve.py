"""``serve``: the bridge itself."""

from __future__ import annotations

import asyncio
import math
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bridge import __version__
from bridge.app import create_app
from bridge.doors.auth import Admission
from bridge.logs import configure_logs
from bridge.serving import Certificate, ListenError, listen, serve
from bridge.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.settings import Settings

HISTORY_DIR = Path("~/.local/share/vscope-bridge")
"""Where recordings go when no setting says so."""

log = structlog.get_logger(__name__)


def run_bridge(settings: Settings, read_again: Callable[[], Settings]) -> None:
    """Serve until told to stop; SIGHUP reads credentials and certificate again.

    Args:
        settings: As read at the start.
        read_again: Reads the settings from the same sources.

    Raises:
        ListenError: the address cannot be listened on, or the certificate not be used.
        StartError: the application did not start.
    """
    configure_logs(settings.log_level, settings.log_format)
    given = settings
    if settings.record:
        settings = recording_settings(settings)
    listening = listen(settings.host, settings.port)
    admission = Admission(settings.credentials)
    tls = _tls(settings)

    def reload() -> None:
        try:
            new = read_again()
            if tls is not None:
                _use_certificate(tls, new)
        except (SettingsError, ListenError) as error:
            log.error("reload_failed", reason=str(error))  # noqa: TRY400 -- no traceback: it is the settings
            return
        admission.replace(new.credentials)
        reloaded = {"credentials", "tls_certificate", "tls_key"}
        log.info(
            "reloaded",
            credentials=[credential.name for credential in new.credentials],
            # What else has changed counts from the next start on.
            unused=sorted(
                name
                for name in type(new).model_fields
                if name not in reloaded and getattr(new, name) != getattr(given, name)
            ),
        )

    async def announce(url: str) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        log.info(
            "serving",
            url=url,
            version=__version__,
            accounts=[account.name for account in settings.accounts],
            credentials=[credential.name for credential in settings.credentials],
        )

    serve(
        create_app(settings, admission=admission),
        listening,
        meanwhile=announce,
        patience_s=math.ceil(settings.deadline_s),
        tls=tls,
        trusted_proxies=settings.trusted_proxies,
    )
    log.info("stopped")


def recording_settings(settings: Settings) -> Settings:
    """Return settings that name a folder of the recording."""
    if settings.history_dir is not None:
        return settings
    return settings.model_copy(update={"history_dir": HISTORY_DIR.expanduser()})


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _use_certificate(context, settings)
    return context


def _use_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    if settings.tls_certificate is not None and settings.tls_key is not None:
        Certificate(settings.tls_certificate, settings.tls_key).load_into(context)
