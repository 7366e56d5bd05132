"""Kills recording processes and fills disks, again and again: ``make soak``.

``python benchmarks/history_faults.py [--times N]``: N kills each while writing, in
maintenance (points into files, roll-ups, retention) and in a migration, at steps and moments
drawn by lot; after each the store must open, be whole, and lack the running poll at most.
Then a file system of its own is filled under a store (where this user may mount one).
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.sources.history.crashes import ROOT, killed, look, look_migrated

DICE = random.SystemRandom()
#: Steps of the test process before its first poll, of 160 polls with maintenance.
MIGRATION_STEPS, ALL_STEPS = 6, 1800


def recording(what: str, times: int) -> None:
    """Kill a process that records, and go on with the same store."""
    with tempfile.TemporaryDirectory(prefix="history-") as place:
        newest = -1
        for turn in range(times):
            if turn % 2:
                told = killed(Path(place), what, after_s=DICE.uniform(0, 2))
            else:
                told = killed(Path(place), what, step=DICE.randint(1, ALL_STEPS // 6))
            newest = look(Path(place), newest if told is None else told)
        print(f"{what}: killed {times} times, {newest + 1} polls are whole", flush=True)


def migrating(times: int) -> None:
    """Kill a process while it opens a store of an earlier version."""
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="history-") as place:
            with zipfile.ZipFile(ROOT / "tests" / "fixtures" / "history-v1.zip") as archive:
                archive.extractall(place)
            killed(Path(place), "write", step=DICE.randint(1, MIGRATION_STEPS))
            look_migrated(Path(place))
    print(f"migration: killed {times} times, nothing is missing", flush=True)


def full_disk() -> None:
    """Fill a small file system under a store."""
    script = (
        'mount -t tmpfs -o size=24m none "$1" && exec "$0" -m tests.sources.history.full_disk '
        '"$1/store" disk'
    )
    with tempfile.TemporaryDirectory(prefix="history-") as place:
        command = ["sh", "-c", script, sys.executable, place]
        if shutil.which("unshare"):
            command = ["unshare", "--map-root-user", "--mount", *command]
        done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit("full disk: failed, or no file system may be mounted here")
    print("full disk: refused, answered, and went on when there was room", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    recording("write", times)
    recording("maintain", times)
    migrating(times)
    full_disk()


if __name__ == "__main__":
    main()
