"""Logging of the whole process: one line an event on standard error, without credentials.

The bridge logs through structlog, libraries through the standard library; both end in the
same line. Libraries that see credentials are held at ``warning`` whatever the level: at
``debug`` urllib3 and httpx write addresses, requests_oauthlib whole tokens, aiohttp headers.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TextIO

    from structlog.typing import EventDict, Processor, WrappedLogger

OWN_LOGGERS = ("bridge",)
"""The loggers that, with those below them, may write below ``warning``."""

#: What an event may say in several lines.
_SEVERAL_LINES = frozenset({"exception", "stack"})

_CREDENTIALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\w+://)[^/\s@'\"]+@"), r"\1***@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.+/=~-]{6,}", re.IGNORECASE), r"\1 ***"),
    (
        re.compile(
            r"((?:access_?token|client_secret|consumer_?key|application_?secret|password|token"
            r"|x-ovh-(?:consumer|signature))[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)


def redact(text: str) -> str:
    """Return ``text`` with whatever looks like a credential blotted out."""
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def escaped(text: str) -> str:
    """Return ``text`` with line ends, control characters and the like written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def configure_logs(
    level: Literal["debug", "info", "warning", "error"] = "info",
    log_format: Literal["text", "json"] = "text",
    *,
    stream: TextIO | None = None,
) -> None:
    """Send all events of the process to ``stream`` (standard error).

    Call it once, before the event loop starts.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Tracebacks become text here: the renderer's own would show local variables.
            structlog.processors.format_exc_info,
            _safe_event,
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(_quiet(OWN_LOGGERS))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _quiet(own: tuple[str, ...]) -> Callable[[logging.LogRecord], bool]:
    prefixes = tuple(f"{name}." for name in own)

    def allowed(record: logging.LogRecord) -> bool:
        return (
            record.levelno >= logging.WARNING
            or record.name in own
            or record.name.startswith(prefixes)
        )

    return allowed


def _safe_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Blot out credentials, and keep what others wrote from looking like lines of its own."""
    return {
        key: _safe(key, redact(value)) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _safe(key: str, text: str) -> str:
    if key not in _SEVERAL_LINES:
        return escaped(text)
    # Indented: what an exception quotes must not begin a line.
    return "\n".join(f"    {escaped(line)}" for line in text.split("\n"))
