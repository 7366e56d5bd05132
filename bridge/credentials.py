"""Credentials, as configured: the bridge's to OVHcloud, and Grafana's to the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENDPOINTS: tuple[str, ...] = ("ovh-eu", "ovh-ca", "ovh-us")
"""OVHcloud's regions that sell Hosted Private Cloud, by the ``ovh`` package's names."""

KEY_FIELDS: tuple[str, ...] = (
    "application_key",
    "application_secret",
    "consumer_key",
    "client_id",
    "client_secret",
)
"""The fields of an account that together are its OVHcloud credential."""


def check_web_address(text: str) -> str:
    """Return ``text`` without a trailing slash when it is an http(s) address.

    Raises:
        ValueError: it is not one, or it holds a user name or password.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected an address such as https://eu.api.ovh.com/1.0")
    if parts.username or parts.password:
        raise ValueError("expected an address without user name and password")
    return text.rstrip("/")


WebAddress = Annotated[str, AfterValidator(check_web_address)]


def check_hash(text: str) -> str:
    """Return ``text`` when it is an Argon2 hash.

    Raises:
        ValueError: it is not one.
    """
    try:
        extract_parameters(text)
    except InvalidHashError:
        raise ValueError("expected a hash as `vscope-bridge hash` prints it ($argon2id$...)") from (
            None
        )
    return text


Argon2Hash = Annotated[str, AfterValidator(check_hash)]


class Account(BaseModel):
    """One OVHcloud credential and what to read with it.

    Either the application key triple (``application_key``, ``application_secret``,
    ``consumer_key``) or an OAuth2 service account (``client_id``, ``client_secret``),
    never both and never a part of one (reference: ovh 3).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(
        default="default", min_length=1, description="Name of the account in logs and messages."
    )
    endpoint: str = Field(
        default="ovh-eu", description="OVHcloud region: `ovh-eu`, `ovh-ca` or `ovh-us`."
    )
    api_url: WebAddress | None = Field(
        default=None,
        description="Base address of APIv6 instead of the region's own, "
        "for a gateway or the simulator.",
    )
    oauth2_token_url: WebAddress | None = Field(
        default=None, description="Address that gives OAuth2 tokens, instead of the region's own."
    )
    application_key: str | None = Field(
        default=None, min_length=1, description="Application key (AK)."
    )
    application_secret: SecretStr | None = Field(
        default=None, min_length=1, description="Application secret (AS)."
    )
    consumer_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Consumer key (CK), as `vscope-bridge login` obtains it.",
    )
    client_id: str | None = Field(
        default=None, min_length=1, description="OAuth2 service account: client identifier."
    )
    client_secret: SecretStr | None = Field(
        default=None, min_length=1, description="OAuth2 service account: client secret."
    )
    services: tuple[str, ...] = Field(
        default=(),
        description="Names of the Hosted Private Cloud services to show, "
        "such as `pcc-192-0-2-1`; empty means every service of the credential.",
    )
    calls_per_minute: int = Field(
        default=60,
        ge=1,
        le=100_000,
        description="Most calls to APIv6 in one minute with this credential.",
    )
    metrics_user: str = Field(
        default="admin",
        min_length=1,
        description="vCenter user for whom the vScope metrics token is asked.",
    )

    @field_validator("endpoint")
    @classmethod
    def _known_endpoint(cls, value: str) -> str:
        if value not in ENDPOINTS:
            raise ValueError(f"expected one of {', '.join(ENDPOINTS)}")
        return value

    @model_validator(mode="after")
    def _one_complete_login(self) -> Self:
        triple = KEY_FIELDS[:3]
        pair = KEY_FIELDS[3:]
        has_triple = [name for name in triple if getattr(self, name) is not None]
        has_pair = [name for name in pair if getattr(self, name) is not None]
        if has_triple and has_pair:
            raise ValueError(
                "has both an application key and an OAuth2 service account "
                f"({', '.join((*has_triple, *has_pair))}); expected only one of the two"
            )
        wanted = pair if has_pair else triple
        missing = [name for name in wanted if getattr(self, name) is None]
        if not has_triple and not has_pair:
            raise ValueError(
                f"has no credential; expected {', '.join(triple)}, or {', '.join(pair)}"
            )
        if missing:
            hint = (
                " (`vscope-bridge login` obtains a consumer key)"
                if missing == ["consumer_key"]
                else ""
            )
            raise ValueError(
                f"is incomplete: {' and '.join(missing)} missing next to "
                f"{' and '.join(has_triple or has_pair)}{hint}"
            )
        return self


class Credential(BaseModel):
    """What Grafana shows to the bridge: name and password (Basic), a bearer token, or both.

    Each secret is given as it is, or as a hash from which nobody learns it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(
        default="grafana",
        min_length=1,
        description="User name of HTTP Basic authentication, and the name shown in logs.",
    )
    password: SecretStr | None = Field(
        default=None, min_length=1, description="Password of HTTP Basic authentication."
    )
    token: SecretStr | None = Field(
        default=None, min_length=1, description="Token of HTTP Bearer authentication."
    )
    password_hash: Argon2Hash | None = Field(
        default=None,
        description="The password as `vscope-bridge hash` prints it, instead of `password`.",
    )
    token_hash: Argon2Hash | None = Field(
        default=None,
        description="The token as `vscope-bridge hash` prints it, instead of `token`.",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not any((self.password, self.token, self.password_hash, self.token_hash)):
            raise ValueError("expected a password, a token, or both, or their hashes")
        if (self.password and self.password_hash) or (self.token and self.token_hash):
            raise ValueError("expected a secret or its hash, not both")
        if ":" in self.name:
            raise ValueError("expected a name without a colon (HTTP Basic cannot carry one)")
        return self


def secret_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the model's fields that hold a secret."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if SecretStr in getattr(field.annotation, "__args__", (field.annotation,))
    )


def duplicates(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur more than once, sorted."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(name for name, count in counts.items() if count > 1))


def has_any_key(account: Mapping[str, object]) -> bool:
    """Tell whether an account, as yet unchecked, names any part of a credential."""
    return any(name in account or f"{name}_file" in account for name in KEY_FIELDS)
