"""Metric families as text: Prometheus' format 0.0.4, and OpenMetrics 1.0.

The official writer needs an object for every sample; this one takes labels that are text
already and takes a sixth of the time (docs/scale.md). The official parsers read it in tests.

No sample has a timestamp. With one, Prometheus would not mark a series as ended when its
object goes, but show its last value for five minutes more, and refuse what is older than
what it has. When a service was read is a sample of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bridge.ovh.exposed import Block
    from bridge.ovh.families import Family, Pairs

TEXT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS_TYPE = CONTENT_TYPE_LATEST

#: Columns, and their texts, between two looks at the clock: a few milliseconds, since each look
#: costs something where other threads want the interpreter.
_COLUMNS_AT_ONCE = 4
_TEXTS_AT_ONCE = 8

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Exposition:
    """Collects samples by family.

    Attributes:
        oldest: The earliest reading among them, epoch seconds; None where there is none.

    Args:
        families: In the order in which they are written.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.oldest: float | None = None
        self._texts: dict[Family, list[str]] = {family: [] for family in families}

    def add(self, blocks: Iterable[Block]) -> Iterator[None]:
        """Enter the samples of objects, a column of some at each step."""
        for block in blocks:
            whose = [labels(identity) for identity in block.identities]
            if block.oldest is not None:
                self.oldest = min(block.oldest, self.oldest or block.oldest)
            if block.info is not None:
                info, names = block.info
                lines = [
                    f"{info.name}{{{one}{',' if more else ''}{labels(more)}}} 1.0\n"
                    for one, more in zip(whose, names, strict=True)
                ]
                self._texts[info].append("".join(lines))
                yield
            for number, (family, more, values) in enumerate(block.columns):
                start, end = f"{family.name}{{", f",{labels(more)}}}" if more else "}"
                lines = [
                    f"{start}{one}{end} {value}\n"
                    for one, value in zip(whose, values, strict=True)
                    if value is not None
                ]
                self._texts[family].append("".join(lines))
                if number % _COLUMNS_AT_ONCE == 0:
                    yield

    def text(self, *, openmetrics: bool) -> Iterator[bytes]:
        """Yield the families that have samples, in parts."""
        for family, texts in self._texts.items():
            if not any(texts):
                continue
            yield head(family, openmetrics=openmetrics).encode()
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                # What is no text (half a surrogate pair) must not cost the whole answer.
                some = "".join(texts[start : start + _TEXTS_AT_ONCE])
                yield some.encode("utf-8", "replace")
        if openmetrics:
            yield b"# EOF\n"


def head(family: Family, *, openmetrics: bool) -> str:
    """Return the lines that describe a family."""
    kind = "gauge"
    name = family.name
    if family.is_info and openmetrics:
        kind, name = "info", name.removesuffix("_info")
    told = f"# HELP {name} {family.help}\n# TYPE {name} {kind}\n"
    return f"{told}# UNIT {name} {family.unit}\n" if family.unit and openmetrics else told


def labels(pairs: Pairs) -> str:
    """Return labels as they stand between braces."""
    return ",".join([f'{name}="{text.translate(_ESCAPES)}"' for name, text in pairs])


def likes_openmetrics(accept: str) -> bool:
    """Choose the format by ``Accept``, as the official client does."""
    return choose_encoder(accept)[1].startswith("application/openmetrics-text")
