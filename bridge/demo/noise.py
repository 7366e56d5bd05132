"""Deterministic noise: the same numbers for the same seed, object and time, in any window."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31 = np.uint64(30), np.uint64(27), np.uint64(31)
_SHIFT_11 = np.uint64(11)
_TO_UNIT = 1.0 / (1 << 53)


def key_of(*parts: object) -> int:
    """Return a stable 64-bit key for the given parts (seed, kind, id, ...)."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def fraction_of(*parts: object) -> float:
    """Return a stable number in [0, 1) for the given parts."""
    return key_of(*parts) / 2.0**64


def white(keys: NDArray[np.uint64], channel: int, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return uniform noise in [0, 1) of shape ``(len(keys), cells)``.

    Args:
        keys: One key an object, shape ``(n,)``.
        channel: Tells independent noises of one object apart.
        cells: Cell numbers, shape ``(m,)`` or ``(n, m)``.
    """
    shift = np.uint64(channel * int(_MIX_2) % 2**64)
    mixed = (keys + shift)[:, None] + cells.astype(np.uint64) * _GOLDEN
    mixed = (mixed ^ (mixed >> _SHIFT_30)) * _MIX_1
    mixed = (mixed ^ (mixed >> _SHIFT_27)) * _MIX_2
    mixed ^= mixed >> _SHIFT_31
    unit: NDArray[np.float64] = (mixed >> _SHIFT_11).astype(np.float64) * _TO_UNIT
    return unit


def smooth(
    keys: NDArray[np.uint64], channel: int, stamps: NDArray[np.int64], period: int
) -> NDArray[np.float64]:
    """Return noise in [0, 1) that changes over about ``period`` seconds.

    Args:
        keys: One key an object, shape ``(n,)``.
        channel: Tells independent noises of one object apart.
        stamps: Epoch seconds, shape ``(n, m)``.
        period: Distance of the random supporting points, in seconds.
    """
    if not stamps.size:
        return np.zeros(stamps.shape)
    cells = stamps // period
    part = (stamps - cells * period) / period
    first = int(cells.min())
    lattice = white(keys, channel, np.arange(first, int(cells.max()) + 2, dtype=np.int64))
    left = np.take_along_axis(lattice, cells - first, axis=1)
    right = np.take_along_axis(lattice, cells - first + 1, axis=1)
    blended: NDArray[np.float64] = left + (right - left) * (part * part * (3.0 - 2.0 * part))
    return blended
