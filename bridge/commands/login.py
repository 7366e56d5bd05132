"""``login``: ask OVHcloud for a consumer key with the least rights."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import ovh.client
import typer
from pydantic import SecretStr

from bridge.commands.errors import CommandError, UsageError
from bridge.commands.rights import OWN_RULES, iam_policy, reading_rules, token_rules
from bridge.ovh.api import OvhApi
from bridge.ovh.errors import Call, OvhCredentialError
from bridge.ovh.refusals import refusal
from bridge.settings import SettingsError, given_settings, read_sources
from bridge.settings_sources import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Account, Settings

PENDING = "not-yet-known"
EVERY_S = 3.0
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Application:
    """What ``login`` needs to know beforehand; None takes what the settings say.

    Attributes:
        config: TOML file.
        account: Name of the account, where several are configured.
        application_secret: Only needed to see when the key has been validated.
    """

    config: Path | None = None
    account: str | None = None
    endpoint: str | None = None
    api_url: str | None = None
    application_key: str | None = None
    application_secret: str | None = None
    services: tuple[str, ...] = ()


def print_policy(application: Application) -> None:
    """Print the IAM policy for an OAuth2 service account, and what to do with it."""
    known = _hints(application)
    endpoint = str(known.get("endpoint", "ovh-eu"))
    region = endpoint.removeprefix("ovh-")
    policy = iam_policy(
        region=region,
        services=application.services or tuple(known.get("services", ())),
        client_id=known.get("client_id"),
    )
    typer.echo(json.dumps(policy, indent=2))
    typer.echo(
        "Create the service account with POST /me/api/oauth2/client "
        '(flow CLIENT_CREDENTIALS), put its client id and your account name (such as "ab12345-ovh")'
        "\ninto the identity above, and send this policy to POST /v2/iam/policy.",
        err=True,
    )


async def run_login(
    application: Application, *, wait_s: float, output: Path | None, every_s: float = EVERY_S
) -> None:
    """Ask for a consumer key, wait until it is validated, and say where to put it.

    Args:
        application: Whose key it will be.
        wait_s: How long a person may take to validate.
        output: File to write the key to (mode 0600) instead of showing it.
        every_s: Pause between two looks at the key's state.

    Raises:
        UsageError: something needed is not known.
        SettingsError: something is wrong.
        CommandError: the key was refused, or nobody validated it in time.
        OvhError: OVHcloud refused the request.
    """
    settings = _application_settings(application)
    (account,) = settings.accounts
    consumer_key, link = await _request(settings, account)
    typer.echo(f"Open this page, choose a validity, and confirm:\n\n  {link}\n")
    typer.echo("Waiting for the confirmation; Ctrl-C gives up.", err=True)
    validated = account.model_copy(update={"consumer_key": SecretStr(consumer_key)})
    expiry = await _validated(validated, settings, wait_s=wait_s, every_s=every_s)
    typer.echo(f"The key is valid and {f'expires {expiry}' if expiry else 'does not expire'}.")
    _hand_over(consumer_key, output)


def _hand_over(consumer_key: str, output: Path | None) -> None:
    """Show the key, or write it to a file, and say where to put it."""
    if output is None:
        typer.echo("Keep it where the bridge reads it:\n")
        typer.echo(f"  export VSCOPE_CONSUMER_KEY={consumer_key}")
        line = f'consumer_key = "{consumer_key}"'
    else:
        _write(output, consumer_key)
        typer.echo(f"It is in {output}. Tell the bridge:\n")
        typer.echo(f"  export VSCOPE_CONSUMER_KEY_FILE={output.absolute()}")
        line = f'consumer_key_file = "{output.absolute()}"'
    typer.echo(f"\nor, in the [[accounts]] table of the TOML file:\n\n  {line}")
    typer.echo("\nThen: vscope-bridge check")


def _hints(application: Application) -> dict[str, Any]:
    """Return what is known of the account so far, unchecked."""
    values = read_sources(application.config)
    problems = [
        f"{name}: {text.text}" for name, text in values.items() if isinstance(text, Problem)
    ]
    if problems:
        raise SettingsError(problems)
    accounts = values.get("accounts", [])
    tables = [table for table in accounts if isinstance(table, dict)]
    name = application.account
    if name is not None:
        tables = [table for table in tables if table.get("name", "default") == name]
        if not tables:
            raise UsageError(f"there is no account called {name!r}")
    if len(tables) > 1:
        names = ", ".join(str(table.get("name", "default")) for table in tables)
        raise UsageError(f"several accounts are configured ({names}); choose one with --account")
    given = {
        "endpoint": application.endpoint,
        "api_url": application.api_url,
        "application_key": application.application_key,
        "application_secret": application.application_secret,
    }
    known = dict(tables[0]) if tables else {}
    return known | {key: value for key, value in given.items() if value}


def _application_settings(application: Application) -> Settings:
    known = _hints(application)
    endpoint = known.get("endpoint", "ovh-eu")
    if known.get("client_id"):
        raise UsageError(
            "this account is an OAuth2 service account, which needs no consumer key; "
            "--service-account prints the policy it needs"
        )
    if not known.get("application_key") or not known.get("application_secret"):
        base = ovh.client.ENDPOINTS.get(endpoint, ovh.client.ENDPOINTS["ovh-eu"])
        page = base.rpartition("/")[0] + "/createApp/"
        raise UsageError(
            f"no application key and secret; create them at {page} and pass them in "
            "VSCOPE_APPLICATION_KEY and VSCOPE_APPLICATION_SECRET"
        )
    known["consumer_key"] = PENDING
    network = read_sources(application.config)
    return given_settings(
        accounts=[known],
        **{name: network[name] for name in ("proxy", "ca_file") if name in network},
    )


async def _request(settings: Settings, account: Account) -> tuple[str, str]:
    """Ask for a key; return it and the page on which a person confirms it."""
    call = Call("POST", "/auth/credential")
    base = account.api_url or ovh.client.ENDPOINTS[account.endpoint]
    rules = (*reading_rules(account.services), *token_rules(account.services), *OWN_RULES)
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    async with httpx.AsyncClient(
        proxy=proxy,
        verify=_trust(settings.ca_file),
        trust_env=False,
        timeout=TIMEOUT_S,
    ) as client:
        try:
            answer = await client.post(
                base + call.path,
                json={"accessRules": [{"method": r.method, "path": r.path} for r in rules]},
                headers={"X-Ovh-Application": account.application_key or ""},
            )
        except httpx.HTTPError as error:
            raise CommandError(f"cannot reach {base}: {error}") from None
    try:
        body = answer.json()
    except ValueError:
        body = None
    if answer.is_success and isinstance(body, dict):
        key, link = body.get("consumerKey"), body.get("validationUrl")
        if isinstance(key, str) and isinstance(link, str):
            return key, link
        raise CommandError(f"{base} did not answer a consumer key; is it OVHcloud's API?")
    raise refusal(call, answer.status_code, body, redact=lambda text: text)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


async def _validated(
    account: Account, settings: Settings, *, wait_s: float, every_s: float
) -> str | None:
    """Wait until the key works; return when it expires."""
    until = time.monotonic() + wait_s
    api = OvhApi(account, proxy=settings.proxy, ca_file=settings.ca_file)
    try:
        while True:
            try:
                answer = await api.get("/auth/currentCredential")
            except OvhCredentialError:
                answer = {"status": "pendingValidation"}  # OVHcloud does not know the key yet
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "validated":
                expiry = answer.get("expiration")
                return str(expiry) if expiry else None
            if status != "pendingValidation":
                raise CommandError(f"the key was not confirmed: OVHcloud says {status}")
            if time.monotonic() > until:
                raise CommandError(f"nobody confirmed the key within {wait_s:.0f} seconds")
            await asyncio.sleep(every_s)
    finally:
        await api.close()


def _write(output: Path, text: str) -> None:
    try:
        # Nobody else may read it, not even between creation and chmod.
        output.touch(mode=0o600)
        output.chmod(0o600)
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        # The key is valid by now: better on the screen than lost.
        raise CommandError(
            f"cannot write {output}: {error.strerror}; the consumer key is {text}"
        ) from None
