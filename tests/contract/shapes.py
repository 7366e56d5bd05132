"""The answers Grafana's JSON datasources accept (reference: grafana 1.3, 1.4, 2.3, 0a)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from jsonschema import Draft202012Validator

_TEXT = {"type": "string", "minLength": 1}
_META = {
    "type": "object",
    "properties": {
        "notices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["severity", "text"],
                "properties": {"severity": {"enum": ["info", "warning", "error"]}, "text": _TEXT},
            },
        }
    },
}
SERIES = {
    "type": "object",
    "required": ["target", "title", "tags", "refId", "datapoints"],
    "additionalProperties": False,
    "properties": {
        "target": _TEXT,
        "title": _TEXT,
        "refId": _TEXT,
        "unit": _TEXT,
        "tags": {"type": "object", "additionalProperties": _TEXT},
        "meta": _META,
        "datapoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "prefixItems": [{"type": ["number", "null"]}, {"type": "integer", "minimum": 1e11}],
                "minItems": 2,
                "maxItems": 2,
            },
        },
    },
}
TABLE = {
    "type": "object",
    "required": ["type", "refId", "columns", "rows"],
    "properties": {
        "type": {"const": "table"},
        "refId": _TEXT,
        "columns": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["text", "type"],
                "properties": {
                    "text": _TEXT,
                    "type": {"enum": ["time", "string", "number", "boolean"]},
                },
            },
        },
        "rows": {"type": "array", "items": {"type": "array"}},
        "meta": _META,
    },
}
QUERY = {"type": "array", "items": {"oneOf": [SERIES, TABLE]}}
_OPTION_KEYS = ["text", "value", "__text", "__value"]
SEARCH = {
    "type": "array",
    "items": {
        "type": "object",
        "required": _OPTION_KEYS,
        "properties": dict.fromkeys(_OPTION_KEYS, _TEXT),
    },
}
VARIABLE = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["__text", "__value"],
        "additionalProperties": False,
        "properties": {"__text": _TEXT, "__value": _TEXT},
    },
}
_LABELLED = {
    "type": "object",
    "required": ["label", "value"],
    "properties": {"label": _TEXT, "value": _TEXT},
}
OPTIONS = {"type": "array", "items": _LABELLED}
METRICS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["label", "value", "payloads"],
        "properties": {
            "label": _TEXT,
            "value": _TEXT,
            "payloads": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": _TEXT,
                        "type": {"enum": ["input", "select", "multi-select", "textarea"]},
                        "options": OPTIONS,
                    },
                },
            },
        },
    },
}
TAGS = {
    "type": "array",
    "items": {"type": "object", "required": ["text"], "properties": {"text": _TEXT}},
}
ANNOTATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["annotation", "time", "title", "text", "tags"],
        "properties": {
            "time": {"type": "integer", "minimum": 1e11},
            "timeEnd": {"type": "integer", "minimum": 1e11},
            "title": _TEXT,
            "text": {"type": "string"},
            "tags": {"type": "array", "items": _TEXT},
        },
    },
}
ERROR = {
    "type": "object",
    "required": ["message", "error"],
    "properties": {
        "message": _TEXT,
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": _TEXT},
        },
    },
}
ROOT = {"type": "object", "required": ["status"]}
BY_PATH: dict[str, dict[str, Any]] = {
    "/": ROOT,
    "": ROOT,
    "/query": QUERY,
    "/search": SEARCH,
    "/variable": VARIABLE,
    "/metrics": METRICS,
    "/metric-payload-options": OPTIONS,
    "/tag-keys": TAGS,
    "/tag-values": TAGS,
    "/annotations": ANNOTATIONS,
}


def check(answer: Any, schema: dict[str, Any]) -> None:
    """Raise jsonschema's error, which names the place, when an answer has another shape."""
    Draft202012Validator(schema).validate(answer)
    for element in answer if isinstance(answer, list) else ():
        if isinstance(element, dict) and "rows" in element:
            width = len(element["columns"])
            assert all(len(row) == width for row in element["rows"])
        if isinstance(element, dict) and "datapoints" in element:
            stamps = [stamp for _, stamp in element["datapoints"]]
            assert all(one < after for one, after in pairwise(stamps))
