"""The credentials that the simulator accepts, as the bridge is given them."""

from __future__ import annotations

from pydantic import SecretStr

from bridge.demo.apiv6.credentials import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
)
from bridge.settings import Account


def demo_account(base_url: str, *, oauth2: bool = False) -> Account:
    """Return an account for the simulator.

    Args:
        base_url: Where it is served, for example ``http://127.0.0.1:9000``.
        oauth2: A service account instead of application and consumer key.
    """
    base = base_url.rstrip("/")
    if oauth2:
        return Account(
            name="demo",
            api_url=f"{base}/1.0",
            oauth2_token_url=f"{base}/auth/oauth2/token",
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
        )
    return Account(
        name="demo",
        api_url=f"{base}/1.0",
        application_key=APPLICATION_KEY,
        application_secret=SecretStr(APPLICATION_SECRET),
        consumer_key=SecretStr(CONSUMER_KEY),
    )
