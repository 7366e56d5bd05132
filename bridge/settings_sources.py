"""Where settings come from: the environment, a TOML file, and the ``ovh`` package's places.

Whatever cannot be read becomes a ``Problem`` in the place of the value. Validation then
refuses it together with everything else that is wrong, so that a person sees all mistakes
at once.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from ovh.config import ConfigurationManager
from pydantic_settings import PydanticBaseSettingsSource

from bridge.credentials import KEY_FIELDS, Account, Credential, has_any_key, secret_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

PREFIX = "VSCOPE_"
NESTED = "__"
FILE_SUFFIX = "_file"
CONFIG_PLACES: tuple[Path, ...] = (
    Path("vscope-bridge.toml"),
    Path("/etc/vscope-bridge/config.toml"),
)
"""Where the TOML file is looked for when none is named."""

LISTS: Mapping[str, type[BaseModel]] = {"accounts": Account, "credentials": Credential}
"""The settings that are lists of tables."""

# Kubernetes puts the addresses of Services into the environment of every container; a
# Service called vscope or vscope-bridge must not be taken for settings.
_KUBERNETES_NAME = re.compile(
    r"VSCOPE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?|\w+_PORT)"
)
_KUBERNETES_VALUE = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Problem:
    """Takes the place of a value that could not be read; ``text`` holds no secret."""

    text: str


def flat_names() -> Mapping[str, tuple[str, str]]:
    """Map the short variables of a single account or credential to (list, field).

    ``VSCOPE_CONSUMER_KEY`` is the ``consumer_key`` of the only account, ``VSCOPE_USERNAME``
    the ``name`` of the only credential.
    """
    names = {
        PREFIX + field.upper(): ("accounts", field)
        for field in Account.model_fields
        if field != "name"
    }
    names[PREFIX + "USERNAME"] = ("credentials", "name")
    for field in ("password", "token", "password_hash", "token_hash"):
        names[PREFIX + field.upper()] = ("credentials", field)
    for name, (group, field) in tuple(names.items()):
        if field in secret_fields(LISTS[group]):
            names[f"{name}_FILE"] = (group, field + FILE_SUFFIX)
    return names


class ConfiguredSource(PydanticBaseSettingsSource):
    """The environment over the TOML file over the places of the ``ovh`` package."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Answer nothing: all settings are read together, in ``__call__``."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read every source but the constructor, whose arguments are known already."""
        return self.read(self.current_state.get("config"))

    def read(self, config: Path | None) -> dict[str, Any]:
        """Read every source, merge them, and put secrets from files in place.

        Args:
            config: The TOML file, None to look for it.
        """
        environ = {name: text for name, text in os.environ.items() if text}
        named = config or environ.get(f"{PREFIX}CONFIG")
        values, folder = _read_file(Path(named) if named else None)
        values |= self._read_environment(environ, values)
        for name in LISTS:
            if name in values:
                values[name] = _each_table(name, values[name], folder)
        _resolve_files(values, secret_fields(self.settings_cls), folder)
        if "accounts" not in self.current_state:
            _complete_accounts(values)
        return values

    def _read_environment(
        self, environ: Mapping[str, str], from_file: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what the environment changes; lists start from the file's."""
        fields = self.settings_cls.model_fields
        own = {PREFIX + name.upper(): name for name in fields}
        own |= {
            f"{PREFIX}{name.upper()}_FILE": name + FILE_SUFFIX
            for name in secret_fields(self.settings_cls)
        }
        flat = flat_names()
        values: dict[str, Any] = {}
        nested: dict[str, str] = {}
        for variable, text in sorted(environ.items()):
            if not variable.startswith(PREFIX) or _is_kubernetes(variable, text):
                continue
            if variable in own:
                name = own[variable]
                values[name] = _parse(variable, text, fields.get(name))
            elif variable in flat or variable.startswith(
                tuple(f"{PREFIX}{name.upper()}{NESTED}" for name in LISTS)
            ):
                nested[variable] = text
            else:
                values[variable] = _unknown(variable, (*own, *flat))
        for variable, text in nested.items():
            _set_nested(variable, text, values, from_file, flat)
        return values


def _is_kubernetes(variable: str, text: str) -> bool:
    return bool(_KUBERNETES_NAME.fullmatch(variable) or _KUBERNETES_VALUE.match(text))


def _unknown(variable: str, known: tuple[str, ...]) -> Problem:
    near = get_close_matches(variable, known, n=1)
    hint = f"; nearest is {near[0]}" if near else ""
    return Problem(f"there is no such setting{hint}")


def _parse(variable: str, text: str, field: FieldInfo | None) -> Any:
    """Return the variable's text, its absolute path, or its list: JSON or words between commas."""
    if field is None and variable.endswith(FILE_SUFFIX.upper()):
        return str(Path(text).expanduser().absolute())  # not from the TOML file's folder
    if field is None or get_origin(field.annotation) is not tuple:
        return text
    of_tables = variable.removeprefix(PREFIX).lower() in LISTS
    if not of_tables and not text.lstrip().startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return Problem(
            "expected a JSON list, for example " + ('[{"…": "…"}]' if of_tables else "[]")
        )


def _set_nested(
    variable: str,
    text: str,
    values: dict[str, Any],
    from_file: Mapping[str, Any],
    flat: Mapping[str, tuple[str, str]],
) -> None:
    """Set one field of one table of a list, from a short or an indexed variable."""
    if variable in flat:
        group, field = flat[variable]
        index = 0
    else:
        group, number, field = (
            *variable.removeprefix(PREFIX).lower().split(NESTED, 2),
            "",
            "",
        )[:3]
        if not number.isdecimal() or not field:
            values[variable] = Problem(
                f"expected a number and a field, as in {PREFIX}{group.upper()}__0__NAME"
            )
            return
        index = int(number)
    tables = values.get(group, from_file.get(group, []))
    if not isinstance(tables, list):
        return  # refused where it is wrong
    if variable in flat and len(tables) > 1:
        values[variable] = Problem(
            f"cannot be used with {len(tables)} {group}; use {PREFIX}{group.upper()}__0__… instead"
        )
        return
    if index > len(tables):
        values[variable] = Problem(f"expected {group} to be numbered from 0 without a gap")
        return
    tables = [dict(table) if isinstance(table, dict) else table for table in tables]
    if index == len(tables):
        tables.append({})
    if isinstance(tables[index], dict):
        plain = field.removesuffix(FILE_SUFFIX)
        # A secret in a variable replaces the file's, however that one was given.
        tables[index].pop(plain, None)
        tables[index].pop(plain + FILE_SUFFIX, None)
        info = LISTS[group].model_fields.get(field)
        tables[index][field] = _parse(variable, text, info)
    values[group] = tables


def _read_file(config: Path | None) -> tuple[dict[str, Any], Path]:
    """Read the TOML file that is named, or the first that exists in the usual places."""
    path = config or next((place for place in CONFIG_PLACES if place.is_file()), None)
    if path is None:
        return {}, Path()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {str(path): Problem(f"cannot be read: {error.strerror}")}, Path()
    except ValueError as error:  # not TOML, or not UTF-8
        return {str(path): Problem(f"is not TOML: {error}")}, Path()
    return values | {"config": path}, path.parent


def _each_table(group: str, tables: Any, folder: Path) -> Any:
    """Put secrets from files in place in each table of a list."""
    if not isinstance(tables, list):
        return tables
    done = []
    for table in tables:
        if isinstance(table, dict):
            copy = dict(table)
            _resolve_files(copy, secret_fields(LISTS[group]), folder)
            done.append(copy)
        else:
            done.append(table)
    return done


def _resolve_files(table: dict[str, Any], secrets: frozenset[str], folder: Path) -> None:
    """Replace ``<secret>_file = "path"`` by the file's text; paths start at ``folder``."""
    for name in secrets:
        place = table.pop(name + FILE_SUFFIX, None)
        if place is None:
            continue
        if name in table:
            table[name] = Problem(f"is given twice, by itself and by {name}{FILE_SUFFIX}")
            continue
        try:
            text = (folder / str(place)).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            table[name] = Problem(f"cannot read the file {place}: {error.strerror}")
        except UnicodeDecodeError:
            table[name] = Problem(f"the file {place} is not text")
        else:
            table[name] = text or Problem(f"the file {place} is empty")


def _complete_accounts(values: dict[str, Any]) -> None:
    """Give accounts without any key those the ``ovh`` package would find.

    It looks into ``OVH_*``, ``./ovh.conf``, ``~/.ovh.conf`` and ``/etc/ovh.conf``
    (reference: ovh 3.3). Without any account one is made of them, if there are any.
    """
    tables = values.get("accounts")
    if tables is not None and not isinstance(tables, list):
        return
    found = ConfigurationManager()
    default = found.get("default", "endpoint")
    completed = []
    for table in tables or [{}]:
        if not isinstance(table, dict) or has_any_key(table):
            completed.append(table)
            continue
        endpoint = table.get("endpoint", default or "ovh-eu")
        keys = {name: found.get(endpoint, name) for name in KEY_FIELDS}
        keys = {name: text for name, text in keys.items() if text}
        if keys or table:
            completed.append({"endpoint": endpoint} | table | keys)
    if completed:
        values["accounts"] = completed
