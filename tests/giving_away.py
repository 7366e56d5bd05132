"""An upstream that quotes whatever it is shown, and what a bridge gives away meanwhile."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from tests.commands import PROGRAM, environment
from tests.secrets_marked import ACCESS_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


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
