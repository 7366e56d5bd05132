"""How Grafana's two OpenTSDB clients read an answer (reference: grafana 4.2, 4.3)."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any


def read_as_go(body: bytes, *, arrays: bool = False) -> dict[tuple[tuple[str, str], ...], Any]:
    """Decode as Grafana's server does, which refuses every surprise; return points by labels.

    ``tags map[string]string``, ``aggregateTags []string``, ``dps map[string]float64`` or
    ``[][]float64``; keys are whole seconds, a series without points or with the labels of
    another one breaks alert rules.
    """
    answer = json.loads(body, parse_constant=_refuse, object_pairs_hook=_distinct)
    assert isinstance(answer, list)
    found = {}
    for element in answer:
        assert isinstance(element["metric"], str)
        tags = element["tags"]
        assert isinstance(tags, dict)
        assert all(isinstance(text, str) for pair in tags.items() for text in pair)
        aggregated = element["aggregateTags"]
        assert isinstance(aggregated, list)
        assert all(isinstance(key, str) for key in aggregated)
        for note in element.get("globalAnnotations", []):
            assert isinstance(note["description"], str)
            assert isinstance(note["startTime"], int)
        points = _points(element["dps"], arrays=arrays)
        assert points
        assert all(isinstance(value, int | float) for value in points.values())
        texts = [str(stamp) for stamp in points]
        assert sorted(texts) == texts
        assert {len(text) for text in texts} == {10}
        labels = (("__name__", element["metric"]), *sorted(tags.items()))
        key = (*labels, ("__index__", str(element["query"]["index"])))
        assert key not in found
        found[key] = points
    return found


def read_as_browser(answer: Any, *, milliseconds: bool = False) -> list[tuple[int, dict[str, Any]]]:
    """Read as Grafana's page does: the position of the query, and the element itself."""
    found = []
    for element in answer:
        assert isinstance(element["metric"], str)
        assert isinstance(element["tags"], dict)
        assert isinstance(element["dps"], dict)
        stamps = [int(stamp) for stamp in element["dps"]]
        assert stamps
        assert all(one < after for one, after in pairwise(stamps))
        assert {len(str(stamp)) for stamp in stamps} == {13 if milliseconds else 10}
        for value in element["dps"].values():
            assert value is None or isinstance(value, int | float)
        found.append((element["query"]["index"], element))
    assert sorted(index for index, _ in found) == [index for index, _ in found]
    return found


def _points(dps: Any, *, arrays: bool) -> dict[int, Any]:
    if arrays:
        assert isinstance(dps, list)
        points = dict(dps)
        assert len(points) == len(dps)
        assert all(isinstance(stamp, int) for stamp in points)
        return points
    assert isinstance(dps, dict)
    return {int(stamp): value for stamp, value in dps.items()}


def _refuse(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys)
    return dict(pairs)
