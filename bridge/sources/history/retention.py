"""How long each tier is kept."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.sources.history.layout import DAY_MS, HOUR, RAW, Tier, month_start


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for which each tier is kept; 0 keeps no roll-up of that width."""

    raw_days: int = 60
    ten_minutes_days: int = 365
    hour_days: int = 1826

    def days(self, tier: Tier) -> int:
        """Return the days for one tier."""
        if tier is RAW:
            return self.raw_days
        return self.hour_days if tier is HOUR else self.ten_minutes_days

    def keeps(self, tier: Tier, month: int, now_ms: int) -> bool:
        """Tell whether a tier of a month is to be kept at a time."""
        days = self.days(tier)
        return days > 0 and month_start(month + 1) > now_ms - days * DAY_MS
