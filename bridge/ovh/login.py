"""Where an account's calls go and as whom, checked once.

Settings have already seen to it that a credential is complete and of one kind, and have
looked where the ``ovh`` package would look; from here on nothing is searched for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import ovh.client

from bridge.ovh.errors import OvhCredentialError
from bridge.settings import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from bridge.settings import Account


@dataclass(frozen=True, slots=True)
class Login:
    """One account's addresses and credential; no secret of it can be printed.

    Attributes:
        account: The account's name, for messages.
        api_url: Base of all calls, without a slash at the end.
        token_url: Where OAuth2 access tokens come from; empty with application keys.
        proxy: Outbound proxy URL, may hold a password.
        ca_file: Private CA bundle.
    """

    account: str
    api_url: str
    token_url: str = ""
    application_key: str | None = None
    application_secret: SecretStr | None = None
    consumer_key: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    proxy: SecretStr | None = None
    ca_file: Path | None = None

    @property
    def uses_oauth2(self) -> bool:
        """Whether calls carry a bearer token instead of a signature."""
        return self.client_id is not None

    def redact(self, text: str, *more: SecretStr | None) -> str:
        """Return ``text`` with every secret of this login (and ``more``) blotted out."""
        secrets = (self.application_secret, self.consumer_key, self.client_secret, *more)
        for secret in secrets:
            if secret:
                text = text.replace(secret.get_secret_value(), "***")
        return text


def login_of(
    account: Account, *, proxy: SecretStr | None = None, ca_file: Path | None = None
) -> Login:
    """Settle an account's addresses.

    Raises:
        OvhCredentialError: The endpoint has no OAuth2, or a secret would travel unencrypted.
    """
    api_url = (account.api_url or ovh.client.ENDPOINTS[account.endpoint]).rstrip("/")
    token_url = ""
    if account.client_id is not None:
        token_url = (
            account.oauth2_token_url or ovh.client.OAUTH2_TOKEN_URLS[account.endpoint]
        ).rstrip("/")
        for url in (api_url, token_url):
            parts = urlsplit(url)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise OvhCredentialError(
                    f'Account "{account.name}" would send its OAuth2 secret over http; use https '
                    "in api_url and oauth2_token_url."
                )
    return Login(
        account=account.name,
        api_url=api_url,
        token_url=token_url,
        application_key=account.application_key,
        application_secret=account.application_secret,
        consumer_key=account.consumer_key,
        client_id=account.client_id,
        client_secret=account.client_secret,
        proxy=proxy,
        ca_file=ca_file,
    )
