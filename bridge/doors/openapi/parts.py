"""The parts descriptions are made of: schemas, parameters, answers, operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A JSON schema, or another piece of the document.
Schema = dict[str, Any]
Method = Literal["delete", "get", "head", "options", "post"]

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
#: A cell of a table: ``bridge.ovh.fields.Cell``.
CELL: Schema = {"type": ["string", "number", "boolean", "null"]}
#: Epoch milliseconds.
STAMP_MS: Schema = {"type": "integer", "description": "epoch milliseconds"}


def text(form: str = "", *examples: str, about: str = "") -> Schema:
    """Return the schema of a text.

    Args:
        form: A ``format``, such as ``target``.
        examples: Texts that can be asked for.
        about: What it is.
    """
    return _without_empty(
        {"type": "string", "format": form, "examples": list(examples), "description": about}
    )


def one_of(values: Iterable[str], about: str = "") -> Schema:
    """Return the schema of one of these texts."""
    return _without_empty({"type": "string", "enum": list(values), "description": about})


def optional(schema: Schema) -> Schema:
    """Return a schema that takes null as well."""
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **more}


def pair(about: str) -> Schema:
    """Return the schema of a point: a stamp and a value, in the order that ``about`` tells.

    Not ``prefixItems``, which readers of the document understand differently.
    """
    value: Schema = {"type": ["number", "null"]}
    return array(value, minItems=2, maxItems=2, description=about)


def given(required: Iterable[str] = (), **properties: Schema) -> Schema:
    """Return the schema of an object that is read: what is not known is passed over."""
    return _without_empty({"type": "object", "properties": properties, "required": list(required)})


def answered(optional_names: Iterable[str] = (), **properties: Schema) -> Schema:
    """Return the schema of an object that is answered: these properties and no other."""
    left_out = set(optional_names)
    return _without_empty(
        {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in left_out],
            "additionalProperties": False,
        }
    )


def texts_by_name() -> Schema:
    """Return the schema of an object of texts under names that are not known here."""
    return {"type": "object", "additionalProperties": TEXT}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the address.

    Attributes:
        name: Its name.
        schema: Of its value.
        required: Whether it must be there.
        repeated: Whether it may be there several times.
        place: Where it stands.
    """

    name: str
    schema: Schema
    required: bool = False
    repeated: bool = False
    place: Literal["query", "path", "header"] = "query"

    def entry(self) -> Schema:
        """Return its entry in the document."""
        schema = array(self.schema, minItems=int(self.required)) if self.repeated else self.schema
        return {"name": self.name, "in": self.place, "required": self.required, "schema": schema}


@dataclass(frozen=True, slots=True)
class Labels:
    """Any label or column as a parameter of its own."""

    about: str

    def entry(self) -> Schema:
        """Return its entry in the document: an object's keys as parameters."""
        return {
            "name": "labels",
            "in": "query",
            "style": "form",
            "explode": True,
            "description": self.about,
            "schema": texts_by_name(),
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        path: Without a slash at its end.
        method: In lower case.
        about: One line.
        door: Which client it is for.
        answers: Schema of the answer 200 by content type; None for one that is no JSON.
        parameters: Of the address.
        body: Schema of the JSON sent.
        errors: Statuses of errors besides those of every route.
        headers: That an answer 200 may have.
        body_needed: Whether an empty body is refused.
        open: Whether no credential is needed.
        failed: Schema by content type of errors that are not the common ones.
    """

    path: str
    method: Method
    about: str
    door: str
    answers: Mapping[str, Schema | None]
    parameters: tuple[Parameter | Labels, ...] = ()
    body: Schema | None = None
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    body_needed: bool = False
    open: bool = False
    failed: Mapping[int, Mapping[str, Schema | None]] = field(
        default_factory=lambda: MappingProxyType({})
    )


def _without_empty(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if value not in ("", [])}
