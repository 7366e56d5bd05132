"""Logs: their form, and that no library writes a credential at any level."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bridge.logs import redact
from tests.commands import environment

SECRET = "s3cr3t-that-must-not-show"

SCRIPT = f"""
import asyncio, logging, sys, threading, http.server
import httpx, requests, structlog
from bridge.logs import configure_logs

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"{{}}")
    def log_message(self, *args): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{{server.server_port}}/?token={SECRET}"
configure_logs("debug", sys.argv[1])
headers = {{"Authorization": "Bearer {SECRET}", "X-Ovh-Consumer": "{SECRET}"}}
requests.get(url, headers=headers, auth=("user", "{SECRET}"))
httpx.get(url, headers=headers)
for name in ("urllib3.connectionpool", "requests_oauthlib", "oauthlib", "ovh", "aiohttp.client",
             "httpx", "httpcore.http11", "uvicorn.error", "asyncio"):
    logging.getLogger(name).debug("{SECRET}")
    logging.getLogger(name).info("{SECRET}")
logging.getLogger("urllib3").warning("retry of http://user:{SECRET}@proxy:3128/ failed")
log = structlog.get_logger("bridge.some.where")
log.debug("fine_detail", number=3)
log.info("spoke", header="Authorization: Basic {SECRET}", text="naïve")
try:
    secret_local = "{SECRET}"
    raise ValueError("access_token={SECRET}")
except ValueError:
    log.exception("broke")
server.shutdown()
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_credential_at_debug_level(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, form],
        env=environment(NO_COLOR="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    assert SECRET not in done.stderr
    assert "retry of http://***@proxy:3128/" in done.stderr
    assert "Traceback" in done.stderr
    if form == "json":
        events = [json.loads(line) for line in done.stderr.splitlines()]
        assert [event["event"] for event in events][1:] == ["fine_detail", "spoke", "broke"]
        assert events[2]["logger"] == "bridge.some.where"
        assert events[2]["level"] == "info"
        assert events[2]["text"] == "naïve"
        assert events[2]["timestamp"].endswith("Z")
    else:
        assert "number=3" in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://u:p%40x@host/path", "GET https://***@host/path"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ('{"access_token": "abc"}', '{"access_token": "***"}'),
        ("client_secret=abc&x=1", "client_secret=***&x=1"),
        ("the basic idea", "the basic idea"),
        ("token offered", "token offered"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)
def test_redact(text: str, expected: str) -> None:
    assert redact(text) == expected
