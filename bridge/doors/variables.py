"""Template variables: what each function of a variable text lists.

Text that is no function searches the metric names, as a metric dropdown does.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge.doors.fields import choice_texts, shown
from bridge.doors.http import kind_of
from bridge.doors.names import (
    MAX_CHOICES,
    find_metrics,
    find_values,
    known_metric,
    label_keys,
    label_values,
    metric_labels,
)
from bridge.engine.calls import FUNCTIONS, Argument, Call, parse_variable
from bridge.engine.lexemes import parse_choice, unescape, unknown
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.ovh import choices
from bridge.ovh.choices import Choice
from bridge.ovh.live import LIVE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.doors.doorway import Doorway
    from bridge.ovh.objects import Snapshot

#: The metric whose series list network cards.
_NIC_METRIC = "vscope.host.net.tx"

_LISTINGS = MappingProxyType(
    {
        "clusters": choices.clusters,
        "hosts": choices.hosts,
        "vms": choices.vms,
        "datastores": choices.datastores,
    }
)


async def list_choices(doorway: Doorway, text: str) -> tuple[Choice, ...]:
    """Answer a variable's text; what matches nothing is an empty list.

    Raises:
        BadRequestError: A call that cannot be read, with its position.
    """
    call = parse_variable(text)
    if call is None:
        return await search(doorway, unescape(text.strip()))
    return await run(doorway, call)


async def search(doorway: Doorway, text: str) -> tuple[Choice, ...]:
    """Return metric names and live tables that hold a text, in name or description."""
    names = [Choice(one.name, one.name) for one in await find_metrics(doorway, text)]
    wanted = text.casefold()
    tables = [f"live:{kind}" for kind in LIVE_KINDS]
    found = names + [Choice(name, name) for name in tables if wanted in name]
    return tuple(found[:MAX_CHOICES])


async def run(doorway: Doorway, call: Call) -> tuple[Choice, ...]:
    """Run one function.

    Raises:
        BadRequestError: A filter on an unknown column, or one that cannot be compiled.
    """
    if call.name in {"tag_values", "nics"}:
        return await _from_history(doorway, call)
    if call.name in _LISTINGS or call.name in {"services", "datacenters"}:
        return await _from_inventory(doorway, call)
    args = call.positional()
    return await _from_catalogue(doorway, call.name, args[0].text if args else "")


async def _from_catalogue(doorway: Doorway, name: str, text: str) -> tuple[Choice, ...]:
    match name:
        case "metrics":
            return _plain(one.name for one in await find_metrics(doorway, text))
        case "tag_names":
            return _plain(await metric_labels(doorway, text))
        case "suggest_tagk":
            return _plain(key for key in label_keys(doorway) if text.casefold() in key)
        case _:
            return find_values(doorway, text)


async def _from_history(doorway: Doorway, call: Call) -> tuple[Choice, ...]:
    args = call.positional()
    if call.name == "nics":
        name, key, filters = _NIC_METRIC, "nicname", _keyed("host", args[0] if args else None)
    else:
        name, key, filters = args[0].text, args[1].text, call.filters()
    metric = known_metric(doorway, name)
    return () if metric is None else await label_values(doorway, metric, key, filters)


async def _from_inventory(doorway: Doorway, call: Call) -> tuple[Choice, ...]:
    """List objects; dashboards ask for the same lists again and again between two polls."""
    snapshot = doorway.snapshot()
    key = snapshot.version, call
    found = doorway.lists.get(key)
    if found is None:
        found = doorway.lists[key] = await asyncio.to_thread(_objects, snapshot, call)
    return found


def _objects(snapshot: Snapshot, call: Call) -> tuple[Choice, ...]:
    args = call.positional()
    place = args[0].filter if args else None
    if call.name == "services":
        return choices.services(snapshot)
    if call.name == "datacenters":
        return choices.datacenters(snapshot, place)
    filters = call.filters()
    hidden = [flt for flt in filters if flt.key == "hidden"]
    others = [flt for flt in filters if flt.key != "hidden"]
    return _LISTINGS[call.name](
        snapshot, place, filters=others, show_hidden=any(flt.text == "true" for flt in hidden)
    )


def call_of_payload(payload: Mapping[str, Any]) -> Call | None:
    """Read a variable given as JSON: ``{"function": "vms", "datacenter": [...], ...}``.

    The function's parameters and filters are named by their keys; ``type`` is another
    name for ``function``. None when the object names no function.

    Raises:
        BadRequestError: An unknown function, or a value that cannot be read.
    """
    name_key = "function" if "function" in payload else "type"
    name = payload.get(name_key)
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise BadRequestError(f"expected a text, found {kind_of(name)}", field=name_key)
    signature = FUNCTIONS.get(name)
    if signature is None:
        raise BadRequestError(
            unknown(f"there is no function {shown(name)}", name, FUNCTIONS), field=name_key
        )
    args: dict[str, Argument] = {}
    for key, value in payload.items():
        if key == name_key:
            continue
        if key not in signature.parameters and not signature.filters:
            raise BadRequestError(
                unknown(f"{name} has no parameter {shown(key)}", key, signature.parameters),
                field=key,
            )
        try:
            flt = parse_choice(key, choice_texts(value, key))
        except BadRequestError as error:
            raise error if error.field else error.within(key) from None
        if flt is not None:
            positional = key in signature.parameters
            args[key] = Argument(None if positional else key, flt.text, flt, 0)
    for parameter in signature.parameters[: signature.required]:
        if parameter not in args:
            raise BadRequestError(f"{name} needs a {parameter}", field=parameter)
    ordered = [args.pop(parameter) for parameter in signature.parameters if parameter in args]
    return Call(name, (*ordered, *args.values()))


def _keyed(key: str, argument: Argument | None) -> tuple[TagFilter, ...]:
    """Turn a positional argument into a filter on ``key``; none means no filter."""
    flt = argument.filter if argument else None
    if flt is None or (flt.kind is FilterKind.WILDCARD and flt.text == "*"):
        return ()
    return (TagFilter(key, flt.kind, flt.text),)


def _plain(names: Iterable[str]) -> tuple[Choice, ...]:
    return tuple(Choice(name, name) for name in names)
