"""Turns OVHcloud's own API schema into JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[1] / "fixtures" / "ovh"
MODELS: dict[str, Any] = {}
for _name in ("ovh-schema.json", "ovh-schema-auth.json"):
    MODELS.update(json.loads((FIXTURES / _name).read_text())["models"])

_PLAIN: dict[str, dict[str, Any]] = {
    "long": {"type": "integer"},
    "double": {"type": "number"},
    "boolean": {"type": "boolean"},
    "datetime": {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$",
    },
    "date": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
    "time": {"type": "string", "pattern": r"^\d\d:\d\d:\d\d$"},
    "uuid": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    "map[string]string": {"type": "object", "additionalProperties": {"type": "string"}},
}
_TEXTS = {"string", "password", "ip", "ipBlock", "ipv4Block", "coreTypes.AccountId:string"}


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a type of OVHcloud's schema; every field must be there."""
    if kind.endswith("[]"):
        return {"type": "array", "items": json_schema(kind[:-2])}
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind.endswith(":long"):
        return _PLAIN["long"]
    if kind in _TEXTS:
        return {"type": "string"}
    model = MODELS[kind]
    if "enum" in model:
        return {"type": "string", "enum": model["enum"]}
    generic = kind.partition("<")[2].rstrip(">")
    properties = {}
    for name, field in model["properties"].items():
        of_field = field.get("fullType", field["type"])
        schema = json_schema(generic if of_field == "T" else of_field)
        nullable = {"anyOf": [schema, {"type": "null"}]}
        properties[name] = nullable if field["canBeNull"] else schema
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
