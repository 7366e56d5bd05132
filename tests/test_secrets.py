"""What holds a secret, shows none: printed, dumped, in a traceback, or on a command line."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
import typer
from pydantic import SecretBytes, SecretStr

from bridge import cli
from bridge.app import build_bridge
from bridge.credentials import Account
from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from bridge.doors.auth import Admission, Presented
from bridge.doors.guard import GuardMiddleware
from bridge.logs import configure_logs
from bridge.ovh.login import login_of
from bridge.ovh.token import VscopeToken
from bridge.ovh.wire import Shared, _Client, _Session
from bridge.settings import Credential, given_settings
from bridge.sources.opentsdb import OpenTsdb
from tests.secrets_marked import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    PASSWORD,
    PROXY_PASSWORD,
    SECRETS,
    TOKEN,
    TSDB_PASSWORD,
    TSDB_TOKEN,
    Marked,
    leaks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def objects_with_secrets() -> dict[str, Any]:
    account = Account(
        application_key="ak",
        application_secret=SecretStr(APPLICATION_SECRET),
        consumer_key=SecretStr(CONSUMER_KEY),
    )
    service = Account(name="b", client_id="id", client_secret=SecretStr(CLIENT_SECRET.text))
    credential = Credential(password=SecretStr(PASSWORD.text), token=SecretStr(TOKEN.text))
    settings = given_settings(
        accounts=(account, service),
        credentials=(credential,),
        proxy=f"http://user:{PROXY_PASSWORD.text}@proxy:3128",
        opentsdb_url="http://127.0.0.1:1",
        opentsdb_user="reader",
        opentsdb_password=TSDB_PASSWORD.text,
    )
    proxy = settings.proxy
    login = login_of(account, proxy=proxy)
    shared = Shared(bearer=SecretStr(ACCESS_TOKEN.text))
    bridge = build_bridge(settings)
    return {
        "Account": account,
        "service account": service,
        "Credential": credential,
        "Settings": settings,
        "Login": login,
        "OAuth2 login": login_of(service, proxy=proxy),
        "Shared": shared,
        "VscopeToken": VscopeToken(SecretStr(TSDB_TOKEN.text), "https://x", None),
        "Presented": Presented(b"grafana", SecretBytes(PASSWORD.text.encode())),
        "Admission": Admission((credential,)),
        "OpenTsdb": OpenTsdb(
            bridge.upstream,
            "http://127.0.0.1:1",
            user="reader",
            password=settings.opentsdb_password,
            clock=time.monotonic,
        ),
        "Client": _Client(login, shared, _Session()),
        "OvhApi": bridge.apis["default"],
        "Upstream": bridge.upstream,
        "Bridge": bridge,
        "Bridge.apis": bridge.apis,
    }


OBJECTS = objects_with_secrets()


@pytest.mark.parametrize("name", OBJECTS)
def test_nothing_that_holds_a_secret_can_be_printed(name: str) -> None:
    held = OBJECTS[name]
    shown = {
        "repr": repr(held),
        "str": str(held),
        "format": f"{held} {held!r} {held!s:>10} {[held]} {(held,)}",
        "percent": "%s %r" % (held, held),  # noqa: UP031 -- what a library's log does
        "json": json.dumps(held, default=str),
    }
    if hasattr(held, "model_dump_json"):
        shown["model_dump"] = repr(held.model_dump())
        shown["model_dump_json"] = held.model_dump_json()
    if hasattr(held, "__dataclass_fields__") and name != "Bridge":
        shown["asdict"] = repr(asdict(held))
    assert leaks({how: text.encode() for how, text in shown.items()}, SECRETS) == []


def test_the_package_client_with_plain_secrets_is_never_written() -> None:
    with pytest.raises(TypeError, match="not written"):
        OBJECTS["Client"].__reduce__()


async def test_a_traceback_shows_no_local_and_no_credential(
    capsys: pytest.CaptureFixture[str],
) -> None:
    del capsys
    stream = io.StringIO()
    configure_logs("debug", stream=stream)

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        local = PASSWORD.text
        raise RuntimeError(
            f"Authorization: Bearer {TOKEN.text}, token={TSDB_TOKEN.text} ({len(local)} characters)"
        )

    transport = httpx.ASGITransport(GuardMiddleware(failing, deadline_s=5))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/")
    finally:
        structlog.reset_defaults()
        configure_logs("warning")
    assert answer.status_code == 500
    told = stream.getvalue()
    assert "RuntimeError" in told
    assert answer.headers["x-request-id"] in told
    assert leaks({"log": told.encode(), "answer": answer.content}, SECRETS) == []


def test_what_is_searched_for_is_found() -> None:
    secret = Marked("x", 'sécret "0001"+/<&>')
    for text in (
        f"a{secret.text}b",
        "?" + str(httpx.QueryParams({"p": secret.text})),
        json.dumps({"p": secret.text}),
        base64.b64encode(f"grafana:{secret.text}".encode()).decode(),
        base64.b64encode(f"read:{secret.text}!".encode()).decode(),
        base64.urlsafe_b64encode(f"{secret.text}!!".encode()).decode(),
        repr([secret.text]),
    ):
        assert leaks({"here": text.encode()}, [secret]), text
    assert leaks({"here": b"nothing of it"}, [secret]) == []


def test_no_command_takes_a_secret_as_an_argument() -> None:
    """The process list is everybody's: secrets come by files, variables and prompts."""
    root = Path(__file__).parents[1]
    options = dict(options_of(typer.main.get_command(cli.app)))
    assert len(options) > 30
    # A key that names the application; the secret beside it is the other one.
    del options["login --application-key"]
    secret = re.compile(r"password|secret|token|key|credential")
    for place, shown in options.items():
        assert not secret.search(place.partition("--")[2]), (place, shown)
    files = [
        root / "Dockerfile",
        root / "docker-compose.yml",
        *(root / "systemd").glob("*.service"),
    ]
    assert len(files) > 2
    for path in files:
        assert not re.search(r"--[\w-]*(?:password|secret|token|key)[ =]", path.read_text()), path


def options_of(command: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every option of every command that takes a value."""
    for parameter in command.params:
        for option in parameter.opts:
            if not getattr(parameter, "is_flag", False):
                yield f"{path} {option}".strip(), parameter.name
    for name, inner in getattr(command, "commands", {}).items():
        yield from options_of(inner, f"{path} {name}".strip())
