"""Every setting of the bridge, typed and checked.

Sources, strongest first: constructor arguments; the environment (``VSCOPE_*``, nested
with ``__``, and ``VSCOPE_*_FILE`` for secrets); the TOML file; and, for accounts without
a key, the places of the ``ovh`` package.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.credentials import ENDPOINTS, Account, Credential, duplicates, secret_fields
from bridge.settings_sources import CONFIG_PLACES, LISTS, PREFIX, ConfiguredSource, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = [
    "ENDPOINTS",
    "Account",
    "Credential",
    "Settings",
    "SettingsError",
    "given_settings",
    "is_loopback",
    "load_settings",
    "read_sources",
]

_LONGEST_VALUE = 60
_WEB = frozenset({"http", "https"})
_SOURCES = frozenset({"recording", "opentsdb", "ovhcloud"})


class SettingsError(Exception):
    """Settings are wrong; one line for each, naming it, its value and what was expected.

    Attributes:
        lines: Safe to show: no line holds a secret.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class Settings(BaseSettings):
    """Every setting. ``Settings()`` reads the sources; see ``load_settings`` for clear errors."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    config: Path | None = Field(
        default=None,
        description="TOML file with settings; when not set, the first that exists of "
        "`./vscope-bridge.toml` and `/etc/vscope-bridge/config.toml`.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on. Any address but a loopback one needs `credentials`.",
    )
    port: int = Field(
        default=8080, ge=0, le=65_535, description="TCP port to listen on; 0 takes a free one."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important log lines to write."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines for people, or one JSON object a line."
    )
    credentials: tuple[Credential, ...] = Field(
        default=(), description="Who may ask the bridge; empty lets everyone on this machine ask."
    )
    tls_certificate: FilePath | None = Field(
        default=None,
        description="PEM file with the certificate chain for HTTPS; read again on SIGHUP.",
    )
    tls_key: FilePath | None = Field(
        default=None, description="PEM file with the private key of `tls_certificate`."
    )
    hsts_s: int = Field(
        default=0,
        ge=0,
        le=63_072_000,
        description="Seconds for which browsers that came by HTTPS shall ask this host name, at "
        "any port, by HTTPS only (`Strict-Transport-Security`); 0 does not ask for it.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks of reverse proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins, such as `https://grafana.example.org`, whose pages may ask from "
        "the browser (datasource access *Browser*); none by default.",
    )
    client_requests_per_minute: int = Field(
        default=6_000,
        ge=0,
        description="Most requests of one client address in one minute, then 429; 0 for no limit.",
    )
    max_running: int = Field(
        default=64, ge=1, description="Most requests worked on at the same time; more wait."
    )
    max_waiting: int = Field(
        default=512, ge=0, description="Most requests waiting for their turn; more get 503."
    )
    accounts: tuple[Account, ...] = Field(
        default=(), description="OVHcloud credentials; several for several regions or companies."
    )
    poll_interval_s: int = Field(
        default=120,
        ge=1,
        le=86_400,
        description="Seconds between two readings of the inventory; stretched where "
        "`calls_per_minute` does not suffice.",
    )
    deadline_s: float = Field(
        default=25.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="Seconds after which a request is answered 504. "
        "Grafana itself gives up after 30.",
    )
    proxy: SecretStr | None = Field(
        default=None,
        description="HTTP proxy for calls to OVHcloud, such as `http://user:password@proxy:3128`.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of certificate authorities to trust for calls to OVHcloud, "
        "instead of the system's.",
    )
    metrics_hosts: tuple[str, ...] = Field(
        default=("*.metrics.ovh.net",),
        description="Hosts the vScope token may be sent to; `*` stands for any text.",
    )
    protocol: Literal["auto", "opentsdb", "warp10"] = Field(
        default="auto",
        description="How OVHcloud's history is read: `auto` takes Warp 10 where OVHcloud names "
        "its address and it answers, else OpenTSDB.",
    )
    opentsdb_url: str | None = Field(
        default=None,
        description="An OpenTSDB 2.3 or 2.4 server to take series from; the address without "
        "`/api`.",
    )
    opentsdb_user: str | None = Field(
        default=None, description="User for that server, with `opentsdb_password`."
    )
    opentsdb_password: SecretStr | None = Field(
        default=None, description="Password for that server."
    )
    opentsdb_token: SecretStr | None = Field(
        default=None, description="Bearer token for that server, instead of user and password."
    )
    history_dir: Path | None = Field(
        default=None,
        description="Folder of the recording, on a local disk; one bridge a folder. "
        "When not set, `serve` records in `~/.local/share/vscope-bridge`.",
    )
    record: bool = Field(
        default=True, description="Whether every reading of the inventory is recorded there."
    )
    history_order: tuple[str, ...] = Field(
        default=("recording", "opentsdb", "ovhcloud"),
        description="Where series come from: for each series and hour, the first of these that "
        "has data; what is left out is not asked.",
    )
    history_raw_days: int = Field(
        default=60, ge=1, le=36_500, description="Days for which recorded points are kept."
    )
    history_10m_days: int = Field(
        default=365,
        ge=0,
        le=36_500,
        description="Days for which their roll-up to 10 minutes is kept; 0 makes none.",
    )
    history_1h_days: int = Field(
        default=1826,
        ge=0,
        le=36_500,
        description="Days for which their roll-up to 1 hour is kept; 0 makes none.",
    )
    history_memory_mb: int = Field(
        default=256,
        ge=64,
        le=1_048_576,
        description="Memory the recording's database may use, in MiB.",
    )
    diskspace_unit: Literal["kB", "GB"] = Field(
        default="kB",
        description="Unit in which `vscope.filer.diskspace.*` values are stored. OVHcloud's "
        "guide says kB; set GB when graphs are off by a million.",
    )
    source_step_s: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="Seconds between two points of OVHcloud's history; panels are never "
        "given a finer step.",
    )
    max_points: int = Field(
        default=2_000_000, ge=1, description="Most points one sub-query may read."
    )
    max_series: int = Field(default=2_000, ge=1, description="Most series one target may answer.")
    max_rows: int = Field(
        default=100_000, ge=1, description="Most rows one answer of `/rows` may have."
    )
    max_live_age_s: int = Field(
        default=900,
        ge=1,
        description="Seconds after which a reading of the inventory is too old for the live "
        "tables of `/rows` and for `/federate`.",
    )
    max_targets: int = Field(default=100, ge=1, description="Most targets in one request.")
    max_body_bytes: int = Field(
        default=4_194_304, ge=1024, description="Largest request body, in bytes."
    )
    upstream_concurrency: int = Field(
        default=16, ge=1, le=1024, description="Most simultaneous requests to one upstream."
    )
    cache_mb: int = Field(
        default=128,
        ge=0,
        le=1_000_000,
        description="Memory for series data that were read, in MiB; 0 keeps none.",
    )
    cache_settle_s: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds after which series data do not change any more; at least two "
        "buckets, and two `source_step_s`.",
    )
    cache_tail_s: float = Field(
        default=15.0,
        ge=0,
        le=3_600,
        allow_inf_nan=False,
        description="Seconds for which younger data are given again; at most one step.",
    )
    cache_keep_s: float = Field(
        default=21_600.0,
        ge=0,
        le=86_400 * 7,
        allow_inf_nan=False,
        description="Seconds after which settled data are read once more all the same.",
    )
    cache_stale_s: float = Field(
        default=600.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds for which a panel still gets older data, with a notice, while "
        "reading fails; never an alert rule.",
    )
    answers_mb: int = Field(
        default=64,
        ge=0,
        le=1_000_000,
        description="Memory for finished answers to panels, in MiB; 0 keeps none.",
    )
    compress_min_bytes: int = Field(
        default=0,
        ge=0,
        description="Answers of at least so many bytes go out as gzip at once, to clients that "
        "accept it; 0 for never. Answers that repeat are compressed anyway.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put one source that knows lists of tables and secret files under the constructor."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, ConfiguredSource(settings_cls)

    @field_validator("opentsdb_url")
    @classmethod
    def _opentsdb_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                raise ValueError("expected an address such as http://opentsdb:4242")
        return value

    @field_validator("proxy")
    @classmethod
    def _proxy_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("expected an address such as http://proxy:3128")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in value:
                ip_network(network)
        except ValueError:
            raise ValueError("expected addresses or networks such as 10.0.0.0/8") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or parts.scheme not in _WEB:
                raise ValueError("expected origins such as https://grafana.example.org")
        return value

    @field_validator("history_order")
    @classmethod
    def _known_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value) or not set(value) <= _SOURCES:
            raise ValueError(f"expected some of {', '.join(sorted(_SOURCES))}, each once")
        return value

    @field_validator("metrics_hosts")
    @classmethod
    def _host_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not host or "/" in host or ":" in host for host in value):
            raise ValueError("expected host names without scheme, port and path")
        return value

    @field_validator("accounts", "credentials")
    @classmethod
    def _own_names(
        cls, value: tuple[Account, ...] | tuple[Credential, ...]
    ) -> tuple[Account, ...] | tuple[Credential, ...]:
        twice = duplicates(entry.name for entry in value)
        if twice:
            raise ValueError(f"expected a name of its own for each, but several are {twice[0]!r}")
        return value

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: expected both or neither")
        return self

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if not self.credentials and not is_loopback(self.host):
            raise ValueError(
                f"host: {self.host!r}: can be reached from other machines; expected credentials "
                "(for example VSCOPE_TOKEN_FILE), or a loopback address such as 127.0.0.1"
            )
        return self


class _GivenSettings(Settings):
    """Settings from the constructor's arguments and defaults only."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def given_settings(**values: Any) -> Settings:
    """Return settings made of these values and defaults; no source is read.

    Raises:
        SettingsError: a value is wrong.
    """
    try:
        return _GivenSettings(**values)
    except ValidationError as error:
        raise SettingsError(_lines(error.errors())) from None


def read_sources(config: Path | None = None) -> dict[str, Any]:
    """Return what the sources say, neither checked nor completed with defaults.

    Secrets in it are plain text, and what could not be read is a ``Problem``.
    """
    source = ConfiguredSource(Settings)
    return source.read(config)


def load_settings(
    config: Path | None = None, *, need_account: bool = True, **overrides: Any
) -> Settings:
    """Read the settings from all sources.

    Args:
        config: The TOML file; None looks at ``VSCOPE_CONFIG`` and the usual places.
        need_account: Whether settings without any OVHcloud account are an error.
        overrides: Settings that win over every source; None is no override.

    Raises:
        SettingsError: with one line for each wrong setting.
    """
    values = {name: value for name, value in overrides.items() if value is not None}
    if config is not None:
        values["config"] = config
    try:
        settings = Settings(**values)
    except ValidationError as error:
        # Not chained: the original holds the values, secrets among them.
        raise SettingsError(_lines(error.errors())) from None
    if need_account and not settings.accounts:
        places = f"{PREFIX}* or OVH_* variables, {' or '.join(map(str, CONFIG_PLACES))}, ovh.conf"
        raise SettingsError([f"accounts: none; expected an OVHcloud credential in {places}"])
    return settings


def _lines(errors: Sequence[ErrorDetails]) -> list[str]:
    return [_line(error) for error in errors]


def _line(error: ErrorDetails) -> str:
    """Say what is wrong with one setting, without its value where that may be a secret."""
    loc = error["loc"]
    name = _dotted(loc)
    given = error["input"]
    if isinstance(given, Problem):
        return f"{name}: {given.text}"
    if error["type"] == "extra_forbidden":
        return f"{name}: there is no such setting{_nearest(loc)}"
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    text = text[:1].lower() + text[1:]
    if not loc:
        return text
    if _may_be_secret(loc) or not isinstance(given, str | int | float):
        return f"{name}: {text}"
    return f"{name}: {str(given)[:_LONGEST_VALUE]!r}: {text}"


def _dotted(loc: tuple[int | str, ...]) -> str:
    name = ""
    for part in loc:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _may_be_secret(loc: tuple[int | str, ...]) -> bool:
    if loc[0] in LISTS:
        # A list or table given as text may hold anything, a hash be the secret by mistake.
        field = str(loc[-1])
        secret = field in secret_fields(LISTS[str(loc[0])]) or field.endswith("_hash")
        return len(loc) < 3 or secret or "url" in field
    return loc[0] in secret_fields(Settings)


def _nearest(loc: tuple[int | str, ...]) -> str:
    """Say where a misplaced field belongs."""
    places: Mapping[str, str] = {
        field: group for group, model in LISTS.items() for field in model.model_fields
    }
    group = places.get(str(loc[-1]).removesuffix("_file"))
    return f" here; it belongs into [[{group}]]" if group and len(loc) == 1 else ""
