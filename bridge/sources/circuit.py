"""Leaves a host alone that keeps failing, and tries it again now and then."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

from bridge.errors import UpstreamError, UpstreamTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = structlog.get_logger(__name__)

#: Failures in a row after which a host is left alone.
FAILURES = 5

#: Seconds it is left alone the first time; doubled with every probe that fails.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0


class Circuit:
    """The state of one host: closed, open, or half open while one request probes it.

    Only requests without a usable answer count as failures; a refusal is an answer. A
    request that is cancelled says nothing.

    Args:
        host: For messages.
        clock: Monotonic seconds.
    """

    def __init__(self, host: str, clock: Callable[[], float]) -> None:
        self._host = host
        self._clock = clock
        self._failures = 0
        self._pause_s = 0.0
        self._closed_again_at = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused."""
        return self._pause_s > 0.0

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Send one request inside.

        Raises:
            UpstreamError: The host is left alone just now.
        """
        probe = self._admit()
        try:
            yield
        except (UpstreamError, UpstreamTimeoutError):
            self._failed(probe=probe)
            raise
        else:
            self._answered()
        finally:
            if probe:
                self._probing = False

    def _admit(self) -> bool:
        """Return whether this request is the probe."""
        if not self.is_open:
            return False
        wait_s = self._closed_again_at - self._clock()
        if wait_s > 0.0 or self._probing:
            raise UpstreamError(
                f"{self._host} has not answered {self._failures} times in a row and is left "
                f"alone; it is tried again within {max(round(wait_s), 1)} s"
            )
        self._probing = True
        return True

    def _failed(self, *, probe: bool) -> None:
        self._failures += 1
        if self.is_open and not probe:
            return  # sent before it opened
        if probe:
            self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
        elif self._failures >= FAILURES:
            self._pause_s = FIRST_PAUSE_S
            _log.warning("upstream_left_alone", host=self._host, failures=self._failures)
        self._closed_again_at = self._clock() + self._pause_s

    def _answered(self) -> None:
        if self.is_open:
            _log.info("upstream_answers_again", host=self._host)
        self._failures = 0
        self._pause_s = 0.0
