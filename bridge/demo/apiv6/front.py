"""The HTTP face of the simulated APIv6."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import orjson
from starlette.responses import HTMLResponse, Response

from bridge.demo.apiv6 import refusals
from bridge.demo.apiv6.credentials import BEARER_LIFE_S, Credential
from bridge.demo.apiv6.routes import Call, routes
from bridge.demo.noise import key_of
from bridge.demo.objects import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

    from bridge.demo.apiv6.credentials import Caller, Keys
    from bridge.demo.apiv6.routes import Route
    from bridge.demo.apiv6.world import World
    from bridge.demo.options import DemoOptions

PREFIXES = ("/1.0", "/v1")


def json_answer(value: Any, status: int = 200) -> Response:
    """Answer JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json; charset=utf-8")


def base_of(request: Request) -> str:
    """Return the address under which the client reached the simulator."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.decode("latin-1").partition("?")[0]


class ApiV6:
    """OVHcloud's API over a simulated world.

    Args:
        world: What there is.
        options: What is offered.
        keys: Who may call.
        clock: Epoch seconds.
        seen: Told the template of every call that reaches a route.
    """

    def __init__(
        self,
        world: World,
        options: DemoOptions,
        keys: Keys,
        clock: Callable[[], float],
        seen: Callable[[str], None],
    ) -> None:
        self._routes = routes(world, options)
        self._keys = keys
        self._clock = clock
        self._seen = seen
        self._calls = 0

    async def answer(self, request: Request) -> Response:
        """Answer any request whose path begins with one of the prefixes."""
        self._calls += 1
        body = (await request.body()).decode(errors="replace")
        path = _raw_path(request)
        prefix = next(p for p in PREFIXES if path.startswith(p))
        path = unquote(path.removeprefix(prefix))
        try:
            response = self._answer(request, path, body)
        except refusals.RefusalError as refusal:
            response = json_answer(refusal.body, refusal.status)
        response.headers["X-OVH-QUERYID"] = (
            f"EU.ext-99.{key_of('query', self._calls):016x}.{self._calls}"
        )
        return response

    def _answer(self, request: Request, path: str, body: str) -> Response:
        method = request.method
        if path == "/auth/time":
            self._seen("GET /auth/time")
            return json_answer(int(self._clock()))
        if path == "/auth/credential" and method == "POST":
            self._seen("POST /auth/credential")
            return json_answer(self._credential(request, body))
        query = request.url.query
        url = f"{base_of(request)}{_raw_path(request)}" + (f"?{query}" if query else "")
        caller = self._keys.identify(method, url, request.headers, body)
        self._keys.count(caller)
        if path.startswith("/auth/"):
            return json_answer(self._auth(method, path, caller))
        segments = path.split("/")
        matching = [(r, params) for r in self._routes if (params := r.match(segments)) is not None]
        for route, params in matching:
            if route.method == method:
                caller.check(method, path, route.action)
                call = Call(params, parse_qs(query, keep_blank_values=True), base_of(request))
                return self._dispatch(route, call, request.headers.get("x-ovh-batch"))
        # The gateway checks the rules before it looks for the route.
        caller.check(method, path, "")
        if matching:
            raise refusals.classed(405, "Client::MethodNotAllowed", "Method not allowed")
        raise refusals.unknown_route()

    def _dispatch(self, route: Route, call: Call, separator: str | None) -> Response:
        name = f"{route.method} {route.template}"
        batch = (
            separator is not None
            and route.method == "GET"
            and route.segments[-1].startswith("{")
            and bool(separator)
        )
        if not batch or separator is None:
            self._seen(name)
            return json_answer(route.handler(call))
        self._seen(f"{name} (batch)")
        items = []
        for ident in call.params[-1].split(separator):
            single = Call((*call.params[:-1], ident), call.query, call.base)
            try:
                items.append({"key": ident, "value": route.handler(single), "error": None})
            except refusals.RefusalError as refusal:
                items.append({"key": ident, "value": None, "error": refusal.body})
        return json_answer(items)

    def _credential(self, request: Request, body: str) -> dict[str, Any]:
        try:
            wanted = json.loads(body)
            rules = tuple(
                (str(rule["method"]), str(rule["path"])) for rule in wanted["accessRules"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise refusals.classed(
                400, "Client::BadRequest", "Missing or invalid parameter: accessRules"
            ) from error
        key, code = self._keys.request(request.headers.get("x-ovh-application", ""), rules)
        return {
            "consumerKey": key,
            "state": "pendingValidation",
            "validationUrl": f"{base_of(request)}/auth/sso/api?credentialToken={code}",
        }

    def _auth(self, method: str, path: str, caller: Caller) -> Any:
        self._seen(f"{method} {path}")
        credential = caller.credential
        if (method, path) == ("GET", "/auth/details"):
            return _details(caller)
        if credential is not None and (method, path) == ("GET", "/auth/currentCredential"):
            return _current(credential, self._clock())
        if credential is not None and (method, path) == ("POST", "/auth/logout"):
            credential.state = "expired"
            return None
        raise refusals.unknown_route()

    async def oauth2_token(self, request: Request) -> Response:
        """Answer ``POST /auth/oauth2/token`` (client credentials)."""
        self._seen("POST /auth/oauth2/token")
        form = parse_qs((await request.body()).decode(errors="replace"))
        client, secret = _client_of(request, form)
        if _first(form, "grant_type") != "client_credentials":
            return json_answer({"error": "unsupported_grant_type"}, 400)
        token = self._keys.bearer(client, secret)
        if token is None:
            return json_answer(
                {"error": "invalid_client", "error_description": "Unknown client or secret"}, 401
            )
        return json_answer(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": BEARER_LIFE_S,
                "scope": "all",
            }
        )

    async def validate(self, request: Request) -> Response:
        """Stand in for the web form on which a person validates a consumer key."""
        if self._keys.validate(request.query_params.get("credentialToken", "")):
            return HTMLResponse("<html><body>The consumer key is validated.</body></html>")
        return HTMLResponse("<html><body>Unknown or used link.</body></html>", 404)


def _client_of(request: Request, form: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return client and secret: from an Authorization header, else from the form."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return "", ""
        return unquote(client), unquote(secret)
    return _first(form, "client_id"), _first(form, "client_secret")


def _first(form: Mapping[str, Sequence[str]], name: str) -> str:
    return (form.get(name) or [""])[0]


def _rules(credential: Credential) -> list[dict[str, str]]:
    return [{"method": method, "path": path} for method, path in credential.rules]


def _details(caller: Caller) -> dict[str, Any]:
    credential = caller.credential
    if credential is None:
        return {
            "account": "xx12345-ovh",
            "allowedRoutes": None,
            "description": "Simulated service account",
            "identities": [f"urn:v1:eu:identity:credential:xx12345-ovh/oauth2-{caller.name}"],
            "method": "oauth2_client_credentials",
            "roles": [],
            "user": None,
        }
    return {
        "account": "xx12345-ovh",
        "allowedRoutes": _rules(credential),
        "description": None,
        "identities": ["urn:v1:eu:identity:account:xx12345-ovh"],
        "method": "account",
        "roles": [],
        "user": None,
    }


def _current(credential: Credential, now: float) -> dict[str, Any]:
    return {
        "allowedIPs": None,
        "applicationId": 71_001,
        "creation": iso(credential.created),
        "credentialId": 81_000 + credential.number,
        "expiration": None if credential.expiration is None else iso(credential.expiration),
        "lastUse": iso(credential.last_use or now),
        "ovhSupport": False,
        "rules": _rules(credential),
        "status": credential.state_at(now),
    }
