"""Times as people write them."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from bridge.errors import BadRequestError
from bridge.moments import parse_moment

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("now", 1_767_225_600_000),
        ("now-6h", 1_767_204_000_000),
        (" now - 2d ", 1_767_052_800_000),
        ("1767225600", 1_767_225_600_000),
        ("1767225600123", 1_767_225_600_123),
        ("1767225600.25", 1_767_225_600_250),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00+01:00", 1_767_225_600_000),
    ],
)
def test_moments(text: str, milliseconds: int) -> None:
    assert parse_moment(text, now=NOW) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "soon", "now+1h", "now-1q", "now-99999999999y", "2026-13-01", "1e9", "-1"]
)
def test_wrong_moments(text: str) -> None:
    with pytest.raises(BadRequestError):
        parse_moment(text, now=NOW)


def test_an_iso_time_without_offset_is_of_the_zone() -> None:
    text = "2026-01-01T01:00"
    assert parse_moment(text, now=NOW, zone=UTC) == 1_767_229_200_000
    assert parse_moment(text, now=NOW, zone=ZoneInfo("Europe/Paris")) == 1_767_225_600_000
