"""What the demo has recorded before it begins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bridge.catalog import catalogue
from bridge.commands.past import make_past, run_past
from bridge.demo import DemoOptions
from bridge.model import PointRequest
from bridge.sources.history import History

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from bridge.model import Points

SMALL = DemoOptions(vms=14, hosts=3, datacenters=1)
DAYS, DAY_MS = 12, 86_400_000


async def recorded(history: History, metric: str) -> tuple[Points, ...]:
    now = round(time.time() * 1000)
    return await history.points(PointRequest(metric, (), now - 40 * DAY_MS, now, 1_000_000))


async def test_every_metric_that_is_recorded_has_a_past(tmp_path: Path) -> None:
    await make_past(SMALL, tmp_path, DAYS)
    async with History(tmp_path) as history:
        for name, metric in catalogue().items():
            series = await recorded(history, name)
            assert bool(series) is (metric.live is not None), name
        used = await recorded(history, "vscope.filer.datastore.diskspace.used")
        span = max(one.stamps_ms[-1] for one in used) - min(one.stamps_ms[0] for one in used)
        assert DAYS * DAY_MS <= span <= (DAYS + 1) * DAY_MS
        full = await recorded(history, "vscope.filer.datastore.full.days")
        # A trend needs a week of days.
        assert all(len(one.values) > 10 for one in full)
        assert any(one.values[-1] < 100 for one in full)
        (expires,) = await recorded(history, "vscope.credential.expires")
        assert expires.values[0] > expires.values[-1] > 59 * 86_400


def test_a_folder_that_holds_anything_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "somebody's").write_text("recording")
    run_past(SMALL, tmp_path)
    assert "not empty" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["somebody's"]
