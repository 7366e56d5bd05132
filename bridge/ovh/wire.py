"""The synchronous part of a call: one worker thread, one ``ovh`` client, one session.

The ``ovh`` package signs and builds URLs (``Client.raw_call``); around it this module
supplies what the package does not (reference: ovh 3.3): no merging of a stray ``ovh.conf``
or environment, base URLs of one's own, time-outs of seconds instead of minutes, a limit on
the size of an answer, errors that tell what happened and never quote a credential.

The package's own OAuth2 session is not used: ``requests_oauthlib`` writes secrets and
tokens into its debug log, asks for the token without a time-out, and would hold one token
a thread. The token request here is the one of OVHcloud's guide (a form).
"""

from __future__ import annotations

import email.utils
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import ovh
import requests
import requests.exceptions as failure
import urllib3.exceptions

from bridge import __version__
from bridge.ovh.errors import Call, OvhError, OvhTimeoutError, OvhUnreachableError, broke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from bridge.ovh.login import Login

TIMEOUT_S = (5.0, 20.0)
"""Connect and read, in seconds."""
ANSWER_TIME_S = 60.0
"""Longest time for a complete body, however steadily it drips."""
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_NO_QUERY_ID = re.compile(r"[^\w.:/-]")
# OSError covers requests' own; ValueError is a credential no HTTP header can carry.
_FAILURES = (OSError, ValueError, urllib3.exceptions.HTTPError)


@dataclass(slots=True)
class Shared:
    """What all worker threads of one account sign with; written by the event loop only.

    Attributes:
        delta_s: OVHcloud's clock minus this machine's, None until measured.
        bearer: OAuth2 access token, None until fetched.
    """

    delta_s: int | None = None
    bearer: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, decoded.

    Attributes:
        payload: Decoded JSON; None for an empty body or one that is no JSON.
        is_json: Whether ``payload`` is what the body said.
        retry_after: Seconds, from the header, when there was one.
    """

    status: int
    payload: Any = field(repr=False)
    is_json: bool
    content_type: str
    query_id: str | None
    retry_after: int | None


class _Session(requests.Session):
    """A session that follows no redirect: one would carry the consumer key elsewhere."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 -- overrides
        return None


class _BearerSession:
    """Stands where ``ovh`` keeps its OAuth2 session, with the account's shared token."""

    def __init__(self, session: requests.Session, shared: Shared) -> None:
        self._session = session
        self._shared = shared

    @property
    def session(self) -> _BearerSession:
        return self

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], **options: Any
    ) -> requests.Response:
        signed = {**headers, "Authorization": f"Bearer {_plain(self._shared.bearer)}"}
        return self._session.request(method, url, headers=signed, **options)


class _Client(ovh.Client):  # type: ignore[misc]  # the package has no types
    """The package's client, set up without its search for configuration.

    ``ovh.Client.__init__`` fills every argument that is None from ``OVH_*`` variables and
    ``ovh.conf`` files, which mixes credentials of different owners, and accepts no base
    URL but the known ones. A test compares the attributes with the original's.
    """

    def __init__(self, login: Login, shared: Shared, session: requests.Session) -> None:
        self._shared = shared
        self._endpoint = login.api_url
        self._application_key = login.application_key
        self._application_secret = _plain(login.application_secret)
        self._consumer_key = _plain(login.consumer_key)
        self._client_id = login.client_id
        self._client_secret = _plain(login.client_secret)
        self._oauth2 = _BearerSession(session, shared) if login.uses_oauth2 else None
        self._time_delta = None
        self._session = session
        self._timeout = TIMEOUT_S

    def __reduce__(self) -> NoReturn:
        # The package needs the secrets as plain text.
        raise TypeError("holds secrets, which are not written anywhere")

    @property
    def time_delta(self) -> int:
        """Seconds to add to this machine's time; measured by :class:`OvhApi`."""
        return self._shared.delta_s or 0


class Wire:
    """Makes calls from worker threads; every method blocks.

    Args:
        login: Where and as whom.
        shared: Clock difference and access token.
    """

    def __init__(self, login: Login, shared: Shared) -> None:
        self._login = login
        self._shared = shared
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._sessions_lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
    ) -> Reply:
        """Make one call and read its answer completely.

        Args:
            method: GET or POST.
            path: Below the base URL, query string included, percent-encoded.
            body: JSON object to send, None for none.
            headers: Further headers; the mapping is not changed.
            signed: False for the calls that need no login.

        Raises:
            OvhUnreachableError, OvhTimeoutError, OvhBrokeError: No usable answer came. Any
                HTTP status is an answer.
        """
        call = Call(method, path.partition("?")[0])
        client, _ = self._mine()
        started = time.monotonic()
        try:
            response = client.raw_call(
                method=method,
                path=path,
                data=None if body is None else dict(body),
                need_auth=signed,
                headers=dict(headers or {}),
            )
            return _read(call, response, started)
        except _FAILURES as error:
            raise _explain(call, error) from None

    def fetch_bearer(self) -> Reply:
        """Ask for an OAuth2 access token (reference: ovh 3, "OAuth2 service account")."""
        call = Call("POST", "(OAuth2 token)")
        _, session = self._mine()
        started = time.monotonic()
        try:
            response = session.post(
                self._login.token_url,
                data={
                    "grant_type": "client_credentials",
                    "client_id": self._login.client_id,
                    "client_secret": _plain(self._login.client_secret),
                    "scope": "all",
                },
                timeout=TIMEOUT_S,
            )
            return _read(call, response, started)
        except _FAILURES as error:
            raise _explain(call, error) from None

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._sessions_lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _mine(self) -> tuple[_Client, requests.Session]:
        mine: tuple[_Client, requests.Session] | None = getattr(self._local, "mine", None)
        if mine is None:
            session = _Session()
            # The environment must not add a proxy, a CA bundle or a netrc password.
            session.trust_env = False
            session.stream = True
            session.headers.update(
                {"Accept": "application/json", "User-Agent": f"vscope-bridge/{__version__}"}
            )
            if (proxy := _plain(self._login.proxy)) is not None:
                session.proxies = {"http": proxy, "https": proxy}
            if self._login.ca_file is not None:
                session.verify = str(self._login.ca_file)
            with self._sessions_lock:
                self._sessions.append(session)
            mine = (_Client(self._login, self._shared, session), session)
            self._local.mine = mine
        return mine


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _read(call: Call, response: requests.Response, started: float) -> Reply:
    query_id = _NO_QUERY_ID.sub("", response.headers.get("X-OVH-QUERYID", ""))[:80] or None
    with response:
        content = bytearray()
        for chunk in response.iter_content(65536):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise broke(call, f"the answer is longer than {MAX_ANSWER_BYTES} bytes",
                            status=response.status_code, query_id=query_id)  # fmt: skip
            if time.monotonic() - started > ANSWER_TIME_S:
                raise _too_slow(call, query_id)
    payload: Any = None
    is_json = True
    if content:
        try:
            payload = orjson.loads(content)
        except orjson.JSONDecodeError:
            is_json = False
    return Reply(
        status=response.status_code,
        payload=payload,
        is_json=is_json,
        content_type=response.headers.get("Content-Type", "").partition(";")[0].strip(),
        query_id=query_id,
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def _retry_after(text: str | None) -> int | None:
    """Read ``Retry-After``: seconds or an HTTP date."""
    if not text:
        return None
    if text.strip().isdigit():
        return int(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0, round(when.timestamp() - time.time()))


def _too_slow(call: Call, query_id: str | None = None) -> OvhTimeoutError:
    return OvhTimeoutError(
        f"{call}: OVHcloud did not answer in time", path=call.path, query_id=query_id,
        retryable=True,
    )  # fmt: skip


def _explain(call: Call, error: Exception) -> OvhError:
    """Turn a failure below HTTP into a sentence.

    The original text is left out on purpose: it can hold the proxy's address with its
    password.
    """
    inner = error.args[0] if error.args else None
    if isinstance(error, failure.ReadTimeout) or isinstance(
        inner, urllib3.exceptions.ReadTimeoutError
    ):
        return _too_slow(call)
    if isinstance(error, failure.ChunkedEncodingError | failure.ContentDecodingError):
        return broke(call, "the answer broke off or cannot be decoded", retryable=True)
    reason = getattr(inner, "reason", None)
    retryable = True
    if isinstance(error, failure.ConnectTimeout):
        what = f"no connection to OVHcloud within {TIMEOUT_S[0]:g} s"
    elif isinstance(error, failure.ProxyError):
        what = "the proxy does not work"
    elif isinstance(error, failure.SSLError):
        what = "TLS failed; is a private CA missing (ca_file)?"
        retryable = False
    elif isinstance(reason, urllib3.exceptions.NameResolutionError):
        what = "the name of OVHcloud's API cannot be resolved"
    elif isinstance(error, failure.ConnectionError):
        what = "no connection to OVHcloud, or it was cut"
    else:
        what = "the address, the proxy or the credential in the settings cannot be used"
        retryable = False
    return OvhUnreachableError(f"{call}: {what}", path=call.path, retryable=retryable)
