"""From APIv6's JSON to the objects of :mod:`bridge.ovh.objects`.

One odd field must not hide a whole object: a value of the wrong type is left out when the
field may be missing. Names that are null get the stand-in a working client shows
(reference: ovh 1.3).
"""

from __future__ import annotations

import re
from functools import cache
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError

from bridge.ovh.objects import Datastore, Host, OvhObject, Vm

if TYPE_CHECKING:
    from collections.abc import Mapping

ObjectT = TypeVar("ObjectT", bound=OvhObject)

_OVHCLOUD_VM = re.compile(
    r"private-gateway-|backupServer\d*$|backupProxy\d*$|veeamproxy-|l2lendpoint\d*\.|Z-VRA-172\."
)
_STAND_INS: Mapping[str, tuple[str, str]] = {
    "Host": ("hostId", "host{}"),
    "Datastore": ("filerId", "pcc-00{}"),
    "Datacenter": ("datacenterId", "datacenter{}"),
    "Cluster": ("clusterId", "cluster{}"),
}


#: Fields that hold objects themselves.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "Vm": ("backup", "filers"),
    "Host": ("cpu", "ram"),
    "Datastore": ("size",),
}

#: In the place of the names of the fields that were given.
_NONE: frozenset[str] = frozenset()


class UnreadableError(ValueError):
    """An object lacks a field nothing can be done without; the text names it."""


def read_object(model: type[ObjectT], raw: Mapping[str, Any]) -> ObjectT:
    """Return ``raw`` as an object of ``model``.

    Raises:
        UnreadableError: A required field is missing or of the wrong type.
    """
    # Every optional field has a default; null and absent are the same to readers.
    truths = _truths(model)
    # Names of hosts, clusters and states come again with every machine and every poll.
    present = {
        name: intern(value) if type(value) is str else value
        for name, value in raw.items()
        # A truth would read as the number 0 or 1.
        if value is not None and (type(value) is not bool or name in truths)
    }
    if model.__name__ in _STAND_INS and not present.get("name"):
        id_field, text = _STAND_INS[model.__name__]
        number = present.get(id_field)
        present["name"] = text.format(number if isinstance(number, int) else "?")
    try:
        return _lean(model.model_validate(present))
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors()}
    # Whatever is wrong and required comes up again as missing.
    kept = {name: value for name, value in present.items() if name not in wrong}
    try:
        return _lean(model.model_validate(kept))
    except ValidationError as error:
        names = ", ".join(sorted({str(detail["loc"][0]) for detail in error.errors()}))
    raise UnreadableError(f"{model.__name__} without a usable {names}")


@cache
def _truths(model: type[OvhObject]) -> frozenset[str]:
    """Return the names, as OVHcloud writes them, of the fields that are true or false."""
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if bool in (field.annotation, *get_args(field.annotation))
    )


def _lean(value: ObjectT) -> ObjectT:
    """Forget which fields were given, which nobody asks: a third of what an object takes."""
    object.__setattr__(value, "__pydantic_fields_set__", _NONE)
    for name in _PARTS.get(type(value).__name__, ()):
        part = value.__dict__[name]
        for one in part if isinstance(part, tuple) else (part,):
            if one is not None:
                object.__setattr__(one, "__pydantic_fields_set__", _NONE)
    return value


def is_managed(value: OvhObject) -> bool:
    """Whether an object is OVHcloud's own or a spare (reference: ovh 1.3)."""
    if isinstance(value, Vm):
        return bool(_OVHCLOUD_VM.match(value.name or ""))
    if isinstance(value, Datastore):
        return value.is_managed_by_ovh or value.billing_type == "freeSpare"
    return isinstance(value, Host) and value.billing_type == "freeSpare"


def is_deleted(value: OvhObject) -> bool:
    """Whether an object is the shadow of a removed virtual machine."""
    return isinstance(value, Vm) and value.power_state == "deleted"
