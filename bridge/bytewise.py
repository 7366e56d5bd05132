"""Texts as arrays of bytes, so that thousands of places in one are handled at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def anywhere(text: NDArray[np.uint8], width: int) -> NDArray[np.void]:
    """View a text as pieces of one length, one beginning at each byte; they overlap."""
    return np.ndarray(len(text) - width + 1, f"V{width}", text, strides=(1,))


def places(text: NDArray[np.uint8], char: int) -> NDArray[np.intp]:
    """Return where an ASCII character stands."""
    return np.flatnonzero(text == char)
