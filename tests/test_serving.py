"""HTTPS, reloading, browsers of other origins and proxies, with the bridge as a process."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from argon2 import PasswordHasher

from tests.commands import command, environment, run, running

if TYPE_CHECKING:
    from pathlib import Path

#: Nothing listens there: the bridge starts and serves without its upstream.
NOWHERE = "http://127.0.0.1:9/1.0"
ACCOUNT = {
    "VSCOPE_API_URL": NOWHERE,
    "VSCOPE_APPLICATION_KEY": "ak",
    "VSCOPE_APPLICATION_SECRET": "as",
    "VSCOPE_CONSUMER_KEY": "ck",
    "VSCOPE_PORT": "0",
}


def address(line: str) -> str:
    return next(word for word in line.split() if word.startswith("url=")).removeprefix("url=")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def put_certificate(authority: trustme.CA, folder: Path) -> int:
    """Write a new certificate and key; return its serial number."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "chain.pem").write_bytes(chain)
    return served_serial(chain.decode())


def served_serial(pem: str) -> int:
    return hash(ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + 25]))


def serial_at(url: str, context: ssl.SSLContext) -> int:
    host, port = url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
        assert certificate
        return hash(certificate)


def test_https_and_a_reload_of_certificate_and_credentials(
    authority: trustme.CA, tmp_path: Path
) -> None:
    first = put_certificate(authority, tmp_path)
    token = tmp_path / "token"
    token.write_text("tok-1\n", encoding="utf-8")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    env = {
        "VSCOPE_TLS_CERTIFICATE": str(tmp_path / "chain.pem"),
        "VSCOPE_TLS_KEY": str(tmp_path / "key.pem"),
        "VSCOPE_TOKEN_FILE": str(token),
    }
    with running("serve", cwd=tmp_path, **ACCOUNT, **env) as process:
        url = address(process.until("serving")[-1])
        assert url.startswith("https://")
        with httpx.Client(verify=context, base_url=url) as client:

            def status(secret: str) -> int:
                headers = {"Authorization": f"Bearer {secret}"}
                return client.get("/", headers=headers).status_code

            assert (status("tok-1"), status("tok-2")) == (200, 401)
            assert serial_at(url, context) == first
            token.write_text("tok-2\n", encoding="utf-8")
            second = put_certificate(authority, tmp_path)
            process.process.send_signal(signal.SIGHUP)
            process.until("reloaded")
            assert (status("tok-1"), status("tok-2")) == (401, 200)
            assert second != first
            assert serial_at(url, context) == second
            # What cannot be read changes nothing.
            token.write_text("", encoding="utf-8")
            process.process.send_signal(signal.SIGHUP)
            assert "is empty" in process.until("reload_failed")[-1]
            assert status("tok-2") == 200
        assert process.end(signal.SIGTERM) == 0


def test_a_key_that_is_none_of_the_certificate_stops_the_start(
    authority: trustme.CA, tmp_path: Path
) -> None:
    put_certificate(authority, tmp_path)
    (tmp_path / "key.pem").write_text("no key", encoding="utf-8")
    env = {
        "VSCOPE_TLS_CERTIFICATE": str(tmp_path / "chain.pem"),
        "VSCOPE_TLS_KEY": str(tmp_path / "key.pem"),
    }
    ended = run("serve", cwd=tmp_path, env=ACCOUNT | env)
    assert ended.returncode == 1
    assert "cannot use the certificate" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_only_configured_origins_may_ask_from_a_browser(tmp_path: Path) -> None:
    origin = "https://grafana.example.org"
    env = {"VSCOPE_CORS_ORIGINS": origin, "VSCOPE_TOKEN": "tok"}
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-grafana-org-id",
    }
    with running("serve", cwd=tmp_path, **ACCOUNT, **env) as process:
        url = address(process.until("serving")[-1])
        asked = httpx.options(f"{url}/query", headers={"Origin": origin, **preflight})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == origin
        assert asked.headers["access-control-allow-credentials"] == "true"
        stranger = httpx.options(
            f"{url}/query", headers={"Origin": "https://evil.example.org", **preflight}
        )
        assert "access-control-allow-origin" not in stranger.headers
        answer = httpx.get(url, headers={"Origin": origin, "Authorization": "Bearer tok"})
        assert answer.headers["access-control-allow-origin"] == origin


def test_by_default_no_origin_may(tmp_path: Path) -> None:
    with running("serve", cwd=tmp_path, **ACCOUNT) as process:
        url = address(process.until("serving")[-1])
        answer = httpx.get(url, headers={"Origin": "https://grafana.example.org"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("trusted", [True, False])
def test_clients_behind_a_trusted_proxy_are_counted_each_by_itself(
    tmp_path: Path, *, trusted: bool
) -> None:
    env = {"VSCOPE_CLIENT_REQUESTS_PER_MINUTE": "6"}
    if trusted:
        env["VSCOPE_TRUSTED_PROXIES"] = "127.0.0.0/8"
    with running("serve", cwd=tmp_path, **ACCOUNT, **env) as process:
        url = address(process.until("serving")[-1])
        status = [
            httpx.get(url, headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in (1, 2)
        ]
    assert status == ([200, 200] if trusted else [200, 429])


def test_a_printed_hash_opens_the_bridge(tmp_path: Path) -> None:
    printed = subprocess.run(
        command("hash"),
        input="s3cret\n",
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    assert PasswordHasher().verify(printed, "s3cret")
    with running("serve", cwd=tmp_path, **ACCOUNT, VSCOPE_PASSWORD_HASH=printed) as process:
        url = address(process.until("serving")[-1])
        assert httpx.get(url, auth=("grafana", "s3cret")).status_code == 200
        assert httpx.get(url, auth=("grafana", printed)).status_code == 401


def test_a_password_in_place_of_its_hash_is_refused_without_being_shown(tmp_path: Path) -> None:
    ended = run("serve", cwd=tmp_path, env={**ACCOUNT, "VSCOPE_PASSWORD_HASH": "s3cret"})
    assert ended.returncode == 2
    assert "credentials[0].password_hash: expected a hash" in ended.stderr
    assert "s3cret" not in ended.stderr
