"""A long random life of a cache: ``python -m tests.engine.cache_steps STEPS [SEED]``."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections import Counter

import structlog

from tests.engine.cache_world import FILTERS, FUNCTIONS, SERIES, STEPS_MS, Ask, World, key_of

#: Steps after which a new world begins, so that what was written does not pile up.
A_LIFE = 400


class Life:
    """One world and what happens in it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(max_bytes=self.chance.choice((5_000, 40_000, 50_000_000)))
        self.asks: list[Ask] = []
        self.seen: Counter[str] = Counter()

    async def live(self, steps: int) -> None:
        for _ in range(steps):
            await self.chance.choices(
                (self.ask, self.again, self.together, self.wait, self.change),
                (4, 6, 4, 5, 5),
            )[0]()
        await self.world.cache.close()

    async def ask(self) -> None:
        pick = self.chance.choice
        step = pick((0, *STEPS_MS))
        grid = step or 1000
        now = self.world.now_ms
        end = -(-(now + 600_000 - self.chance.randint(0, 300) * 60_000) // grid) * grid
        start = min((end - self.chance.randint(1, 200) * 60_000) // grid * grid, end - grid)
        functions = frozenset(self.chance.sample(FUNCTIONS, self.chance.randint(1, 2)))
        ask = Ask(pick(FILTERS), start, end, step, functions, pick((True, False)))
        self.asks = [*self.asks[-20:], ask]
        self.seen[await self.world.query(ask)] += 1

    async def again(self) -> None:
        if self.asks:
            self.seen[await self.world.query(self._slid())] += 1

    async def together(self) -> None:
        if not self.asks:
            return
        self.world.store.turns = self.chance.choice((0, 1, 2, 5, 15))
        tasks = []
        failures = self.world.store.failures
        for _ in range(self.chance.randint(2, 6)):
            tasks.append(asyncio.create_task(self.world.query(self._slid(), failures=failures)))
            for _ in range(self.chance.randint(0, 3)):
                await asyncio.sleep(0)
            if self.chance.random() < 0.2:  # what is on its way takes its time
                self.world.wait(self.chance.choice((1, 5, 16)))
                self.world.write(3, self.chance.randint(0, 200), self.chance.randint(0, 50))
        leaving = {task for task in tasks if self.chance.random() < 0.3}
        for task in leaving:
            task.cancel()
        for task, outcome in zip(
            tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True
        ):
            if isinstance(outcome, BaseException):
                if task not in leaving or not task.cancelled():
                    raise outcome
            else:
                self.seen[outcome] += 1

    async def wait(self) -> None:
        self.world.wait(self.chance.choice((1, 5, 14, 16, 40, 61, 130, 301, 700, 1900)))

    async def change(self) -> None:
        world, chance = self.world, self.chance
        row = chance.randrange(len(SERIES))
        match chance.randint(0, 9):
            case 0:
                world.set_clock(chance.choice((-7200, -3600, -400, -20, -5, 5, 20, 400, 3600)))
            case 1:
                minutes = [chance.randint(0, 300) for _ in range(chance.randint(1, 3))]
                world.bring_in(row, minutes, chance.randint(51, 99))
            case 2 | 3:
                world.store.failing = chance.random() < 0.15
            case 4:
                lost = chance.random() < 0.15
                world.store.lost = key_of(SERIES[row]) if lost else None
            case _:
                world.write(row, chance.randint(0, 298), chance.randint(0, 50))

    def _slid(self) -> Ask:
        ask = self.chance.choice(self.asks)
        by = self.chance.randint(0, 4) * (ask.step_ms or 60_000)
        return Ask(
            ask.filters,
            ask.start_ms + by,
            ask.end_ms + by,
            ask.step_ms,
            ask.functions,
            self.chance.random() < 0.5,
        )


def run(steps: int, seed: int = 1) -> Counter[str]:
    """Live so many steps; return what answers were like."""
    seen: Counter[str] = Counter()
    for number in range(-(-steps // A_LIFE)):
        life = Life(seed + number)
        try:
            asyncio.run(life.live(min(A_LIFE, steps - number * A_LIFE)))
        except BaseException:
            print(f"the life that begins with seed {seed + number} ended badly", file=sys.stderr)
            raise
        seen += life.seen
    return seen


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begun = time.perf_counter()
    result = run(int(sys.argv[1]), *map(int, sys.argv[2:3]))
    print(f"{sys.argv[1]} steps in {time.perf_counter() - begun:.0f} s: {dict(result)}")
