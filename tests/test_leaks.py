"""No secret leaves the bridge: every byte it gives away is searched for marked ones.

The whole set-up runs as processes at level ``debug``, all doors are driven, everything
upstream fails in turn, and one upstream quotes whatever it is shown in its errors.
"""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import httpx
import pytest
import structlog
import typer
from pydantic import SecretBytes, SecretStr

from bridge import cli
from bridge.app import build_bridge
from bridge.credentials import Account
from bridge.demo import demo_account
from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from bridge.doors.auth import Admission, Presented
from bridge.doors.guard import GuardMiddleware
from bridge.doors.openapi import document
from bridge.logs import configure_logs
from bridge.ovh.login import login_of
from bridge.ovh.token import VscopeToken
from bridge.ovh.wire import Shared, _Client, _Session
from bridge.settings import Credential, given_settings
from bridge.sources.opentsdb import OpenTsdb
from tests.commands import PROGRAM, environment, running
from tests.secrets_marked import Marked, leaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.commands import Running

SERVICE = "pcc-37-187-228-180"
CPU = "vscope.vm.cpu.usage.perc"
PASSWORD = Marked("Basic password", "pass/word+Märked<1>&=%")
TOKEN = Marked("bearer token", "bearer-token-marked-0002")
NEXT_PASSWORD = Marked("password after a reload", "next-password-marked-0003")
MISTYPED = Marked("a mistyped password", "mistyped-password-marked-0004")
CLIENT_SECRET = Marked("OAuth2 client secret", "client-secret-marked-0005")
ACCESS_TOKEN = Marked("OAuth2 access token", "access-token-marked-0006")
TSDB_PASSWORD = Marked("OpenTSDB password", "opentsdb-pass/marked+0007")
TSDB_TOKEN = Marked("OpenTSDB token", "opentsdb-token-marked-0008")
PROXY_PASSWORD = Marked("proxy password", "proxy-password-marked-0009")
FIXED = [
    Marked("application secret", APPLICATION_SECRET),
    Marked("consumer key", CONSUMER_KEY),
]
SECRETS = [
    *FIXED,
    *(PASSWORD, TOKEN, NEXT_PASSWORD, MISTYPED, CLIENT_SECRET, ACCESS_TOKEN),
    *(TSDB_PASSWORD, TSDB_TOKEN, PROXY_PASSWORD),
]


class Quoting(BaseHTTPRequestHandler):
    """Answers every request with an error that quotes all of it."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        if self.path.endswith("/oauth2/token") and "grant_type" in body:
            said: Any = {"access_token": ACCESS_TOKEN.text, "expires_in": 3600}
            self._send(200, said)
            return
        quoted = f"{self.path} {dict(self.headers)} {body}"
        authorization = self.headers.get("authorization", "")
        if authorization.startswith("Basic "):
            quoted += base64.b64decode(authorization[6:]).decode()
        self._send(500, {"message": quoted, "error": {"message": quoted}, "errorCode": quoted})

    def _send(self, status: int, content: Any) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = _answer  # noqa: N815 -- the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def quoting_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quoting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config_text(ovh: str, quoting: str, folder: Path, *, password: str) -> str:
    account = demo_account(ovh)
    return f"""
port = 0
log_level = "debug"
poll_interval_s = 1
deadline_s = 5
metrics_hosts = ["127.0.0.1"]
history_dir = "{folder / "recording"}"
cache_mb = 0
answers_mb = 0
opentsdb_url = "{quoting}"
opentsdb_user = "reader"
opentsdb_password = '{TSDB_PASSWORD.text}'

[[credentials]]
name = "grafana"
password = '{password}'
token = "{TOKEN.text}"

[[accounts]]
name = "demo"
api_url = "{account.api_url}"
application_key = "{account.application_key}"
application_secret = "{APPLICATION_SECRET}"
consumer_key = "{CONSUMER_KEY}"
calls_per_minute = 6000

[[accounts]]
name = "quoting"
api_url = "{quoting}/1.0"
oauth2_token_url = "{quoting}/auth/oauth2/token"
client_id = "client"
client_secret = "{CLIENT_SECRET.text}"
calls_per_minute = 6000
"""


class Gathered(dict[str, bytes]):
    """Everything given away so far, by where it was found."""

    def answer(self, answer: httpx.Response) -> httpx.Response:
        told = b"\n".join(name + b": " + text for name, text in answer.headers.raw)
        key = f"answer {len(self)} to {answer.request.method} {answer.request.url.path}"
        self[key] = told + b"\n\n" + answer.content
        return answer

    def files(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self[f"file {path.relative_to(folder)}"] = path.read_bytes()
            if path.suffix == ".parquet":
                # Its pages are packed: what it says must be looked at as well.
                rows = duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall()  # noqa: S608
                self[f"rows of {path.relative_to(folder)}"] = repr(rows).encode()

    def tables(self, database: Path) -> None:
        with duckdb.connect(str(database), read_only=True) as store:
            for (name,) in store.sql("SELECT table_name FROM duckdb_tables()").fetchall():
                rows = store.sql(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608
                self[f"table {name}"] = repr(rows).encode()

    def process_list(self) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self[f"command line {path}"] = path.read_bytes()
            except OSError:
                continue  # ended meanwhile, or another user's


def output_of(process: Running) -> bytes:
    process._reader.join(20)
    rest = [line for line in process._arriving.queue if line is not None]
    return "\n".join([*process.lines, *rest]).encode()


def command_output(*arguments: str, cwd: Path, **env: str) -> bytes:
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=environment(HOME=str(cwd), **env),
        cwd=cwd,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return b"%d\n" % done.returncode + done.stdout + done.stderr


def series_body(*targets: str) -> dict[str, Any]:
    return {
        "range": {"from": (time.time() - 3600) * 1000, "to": time.time() * 1000},
        "targets": [{"refId": "A", "target": target} for target in targets],
    }


def drive(client: httpx.Client, gathered: Gathered) -> None:
    """Ask every route, with what can be answered and with what cannot."""
    browser = {"Accept": "text/html"}
    ask_for_data(client, gathered)
    for path, operations in document()["paths"].items():
        for method in operations:
            gathered.answer(client.request(method, path))
            gathered.answer(client.request(method, path, headers=browser, content=b'{"x":'))


def ask_for_data(client: httpx.Client, gathered: Gathered) -> None:
    """Ask for what comes from upstream."""
    browser = {"Accept": "text/html"}
    for target in (CPU, f"avg:{CPU}{{cluster=*}}", "stored.elsewhere", "live:vm", "live:service"):
        gathered.answer(client.post("/query", json=series_body(target)))
        gathered.answer(client.get("/rows", params={"target": target}))
        gathered.answer(client.get("/explore", params={"target": target}, headers=browser))
    for kind in ("service", "task", "vm"):
        gathered.answer(client.get("/live", params={"kind": kind}, headers=browser))
    for text in ("", "vms()", f"tag_values({CPU}, vm)", "tag_values(stored.elsewhere, host)"):
        gathered.answer(client.post("/search", json={"target": text}))
    sub_query = {"metric": CPU, "aggregator": "avg"}
    gathered.answer(client.post("/api/query", json={"start": "1h-ago", "queries": [sub_query]}))


def wait_for(client: httpx.Client, status: int) -> None:
    for _ in range(300):
        if client.get("/readyz").status_code == status:
            return
        time.sleep(0.05)
    pytest.fail(f"never {status}: {client.get('/readyz').text}")


@pytest.mark.timeout(300)
def test_no_secret_leaves(tmp_path: Path) -> None:
    gathered, secrets = Gathered(), [*SECRETS]
    config = tmp_path / "operator" / "bridge.toml"
    data, home = tmp_path / "data", tmp_path / "home"
    for folder in (config.parent, data, home):
        folder.mkdir()
    with (
        running("simulate", "--port", "0", "--vms", "6", "--hosts", "2", cwd=home) as simulator,
        quoting_server() as quoting,
    ):
        (ovh,) = re.findall(r"(http://[0-9.:]+)/1.0", simulator.until("http://")[-1])
        config.write_text(config_text(ovh, quoting, data, password=PASSWORD.text))
        with running("serve", "--config", str(config), cwd=home) as bridge:
            (url,) = re.findall(r"url=(http://[0-9.:]+)", bridge.until("serving")[-1])
            with httpx.Client(base_url=url, auth=("grafana", PASSWORD.text), timeout=30) as client:
                wait_for(client, 200)
                secrets.append(Marked("vScope token", vscope_token(ovh)))
                drive(client, gathered)
                gathered.process_list()
                strangers(url, gathered)
                # A revoked token, a credential that expires, and then nobody there at all.
                httpx.post(f"{ovh}/_simulator/token", json={}).raise_for_status()
                ask_for_data(client, gathered)
                secrets.append(Marked("second vScope token", vscope_token(ovh)))
                expired = {"state": "expired"}
                httpx.post(f"{ovh}/_simulator/credential", json=expired).raise_for_status()
                wait_for(client, 503)
                ask_for_data(client, gathered)
                new = config_text(ovh, quoting, data, password=NEXT_PASSWORD.text)
                broken = new.replace('user = "reader"', 'user = "reader" =')
                for text, event in ((broken, "reload_failed"), (new, "reloaded")):
                    config.write_text(text)
                    bridge.process.send_signal(signal.SIGHUP)
                    bridge.until(event)
                client.auth = httpx.BasicAuth("grafana", NEXT_PASSWORD.text)
                assert client.get("/").status_code == 200
                simulator.process.kill()
                drive(client, gathered)
                use_the_recording(config, home, data, gathered)
                gathered.files(data)
                assert bridge.end(signal.SIGTERM) == 0
            gathered["log"] = output_of(bridge)
            gathered.files(data)
            gathered.tables(data / "recording" / "store.duckdb")
    assert b"[debug" in gathered["log"]
    for event in (b"service_state", b"unauthorized", b"reloaded", b"vscope_token_obtained"):
        assert event in gathered["log"], event
    assert any(name.startswith("rows of") for name in gathered)
    assert any(name.startswith("table") for name in gathered)
    assert any("backup" in name for name in gathered)
    assert leaks(gathered, secrets) == []
    # The quoting upstream did quote: without the bridge's care this test would fail.
    assert b"***" in b"".join(gathered.values())


def use_the_recording(config: Path, home: Path, data: Path, gathered: Gathered) -> None:
    for name in ("verify", "compact", "backup"):
        told = command_output("history", name, cwd=home, VSCOPE_CONFIG=str(config))
        gathered[f"history {name}"] = told
        assert told.startswith(b"0\n"), told
    for form in ("csv", "parquet"):
        exported = data / f"exported.{form}"
        export = ("history", "export", "--format", form, "--output", str(exported))
        told = command_output(*export, cwd=home, VSCOPE_CONFIG=str(config))
        gathered[f"history export {form}"] = told
        assert exported.stat().st_size > 1000


def strangers(url: str, gathered: Gathered) -> None:
    """Show the bridge what others could mistype; nothing of it may be remembered or said."""
    for auth in (("grafana", MISTYPED.text), (MISTYPED.text, "x")):
        assert gathered.answer(httpx.get(f"{url}/readyz", auth=auth)).status_code == 401
    bearer = {"Authorization": f"Bearer {MISTYPED.text}"}
    assert gathered.answer(httpx.get(f"{url}/readyz", headers=bearer)).status_code == 401
    right = {"Authorization": f"Bearer {TOKEN.text}"}
    assert gathered.answer(httpx.get(f"{url}/readyz", headers=right)).status_code == 200


def vscope_token(ovh: str) -> str:
    """Ask the simulator for the token as the bridge does, in a process of its own."""
    script = (
        "import ovh, sys; c = ovh.Client('ovh-eu', *sys.stdin.read().split()); "
        "c._endpoint = sys.argv[1]; s = c.get('/dedicatedCloud')[0]; "
        "u = [u for u in c.get(f'/dedicatedCloud/{s}/user') "
        "if c.get(f'/dedicatedCloud/{s}/user/{u}')['name'] == 'admin'][0]; "
        "print(c.post(f'/dedicatedCloud/{s}/user/{u}/metricsToken')['token'])"
    )
    account = demo_account(ovh)
    keys = f"{account.application_key} {APPLICATION_SECRET} {CONSUMER_KEY}"
    done = subprocess.run(
        [sys.executable, "-c", script, f"{ovh}/1.0"],
        input=keys,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


@pytest.mark.timeout(300)
def test_no_secret_leaves_a_command_that_fails(tmp_path: Path) -> None:
    with quoting_server() as quoting:
        config = tmp_path / "bridge.toml"
        text = config_text("http://127.0.0.1:1", quoting, tmp_path, password=PASSWORD.text)
        config.write_text(text)
        gathered = failing_commands(config, tmp_path, quoting)
    assert leaks(gathered, SECRETS) == []
    assert b"the proxy does not work" in gathered["check"]


def failing_commands(config: Path, home: Path, quoting: str) -> dict[str, bytes]:
    """Run the commands that ask OVHcloud, where nothing answers or the proxy wants more."""
    proxy = f"http://user:{PROXY_PASSWORD.text}@127.0.0.1:1"
    env = {"VSCOPE_PROXY": proxy, "VSCOPE_CONFIG": str(config)}
    found = {
        name: command_output(*name.split(), "--log-level", "debug", cwd=home, **env)
        for name in ("check", f"query {CPU}")
    }
    one = {
        "VSCOPE_API_URL": f"{quoting}/1.0",
        "VSCOPE_APPLICATION_KEY": "ak",
        "VSCOPE_APPLICATION_SECRET": APPLICATION_SECRET,
        "VSCOPE_CONSUMER_KEY": CONSUMER_KEY,
        "VSCOPE_OPENTSDB_URL": quoting,
        "VSCOPE_OPENTSDB_TOKEN": TSDB_TOKEN.text,
    }
    found["wrong settings"] = command_output(
        "serve", cwd=home, **one, VSCOPE_PORT="x", VSCOPE_PASSWORD=PASSWORD.text, VSCOPE_TOKEN=" "
    )
    found["query by a token"] = command_output("query", "stored.elsewhere", cwd=home, **one)
    for told in found.values():
        assert not told.startswith(b"0\n"), told
    return found


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
    files = [root / "Dockerfile", root / "docker-compose.yml", *(root / "systemd").glob("*")]
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
