"""Batches of points as bytes: small, and the same values when they come back."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import orjson

from bridge.model import PointBatch, SeriesKey

_VERSION = 1
#: Version, bytes of the names, keys, points.
_HEAD = struct.Struct("<BIII")


def pack(batch: PointBatch) -> bytes:
    """Return a batch as bytes; about 10 a point where values have many digits."""
    metrics: dict[str, int] = {}
    tags: dict[tuple[tuple[str, str], ...], int] = {}
    of_metric = np.fromiter(
        (metrics.setdefault(key.metric, len(metrics)) for key in batch.keys),
        dtype=np.int32,
        count=len(batch.keys),
    )
    of_tags = np.fromiter(
        (tags.setdefault(key.tags, len(tags)) for key in batch.keys),
        dtype=np.int32,
        count=len(batch.keys),
    )
    names = orjson.dumps([list(metrics), list(tags)])
    columns = (
        of_metric,
        of_tags,
        batch.series.astype(np.int32),
        batch.stamps_ms.astype(np.int64),
        batch.values.astype(np.float64),
    )
    body = b"".join((names, *(column.tobytes() for column in columns)))
    head = _HEAD.pack(_VERSION, len(names), len(batch.keys), len(batch.values))
    return head + zlib.compress(body, 1)


def unpack(packed: bytes) -> PointBatch:
    """Return what was packed.

    Raises:
        ValueError: They are not such bytes.
    """
    try:
        version, length, keys, points = _HEAD.unpack_from(packed)
        if version != _VERSION:
            raise ValueError(f"packed in form {version}, not {_VERSION}")
        body = zlib.decompress(packed[_HEAD.size :])
    except (struct.error, zlib.error) as error:
        raise ValueError(f"no packed points: {error}") from None
    metrics, tags = orjson.loads(body[:length])
    at = length

    def column(dtype: type[np.generic], count: int) -> np.ndarray:
        nonlocal at
        found = np.frombuffer(body, dtype=dtype, count=count, offset=at)
        at += found.nbytes
        return found

    of_metric, of_tags = column(np.int32, keys), column(np.int32, keys)
    pairs = [tuple((key, text) for key, text in one) for one in tags]
    return PointBatch(
        tuple(
            SeriesKey(metrics[metric], pairs[tag])
            for metric, tag in zip(of_metric.tolist(), of_tags.tolist(), strict=True)
        ),
        column(np.int32, points),
        column(np.int64, points),
        column(np.float64, points),
    )
