"""The simulated APIv6 over real HTTP, asked by the real ``ovh`` package."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import ovh
import pytest

from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.demo.apiv6.credentials import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
)
from bridge.demo.fleet import EXPIRED_SERVICE, SERVICE
from bridge.sources.warpscript import POINTS, written
from tests.demo.schema import json_schema
from tests.servers import Slot, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

S = f"/dedicatedCloud/{SERVICE}"
D = f"{S}/datacenter/869"


class Clock:
    """Real time, plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Slot]]:
    slot = Slot()
    with serving(slot) as address:
        yield address, slot


@pytest.fixture
def base(served: tuple[str, Slot], clock: Clock) -> str:
    """Serve a fresh world to every test."""
    address, slot = served
    slot.app = create_simulator(DemoOptions(expired_service=True), clock=clock)
    return address


@pytest.fixture
def build(served: tuple[str, Slot], clock: Clock) -> Callable[..., str]:
    """Serve a world of a test's own choice."""
    address, slot = served

    def make(**options: Any) -> str:
        slot.app = create_simulator(DemoOptions(vms=1, **options), clock=clock)
        return address

    return make


@pytest.fixture
def api(base: str) -> ovh.Client:
    return client_for(base)


def client_for(base: str, **keys: str) -> ovh.Client:
    account = demo_account(base)
    assert account.application_secret is not None
    assert account.consumer_key is not None
    given = {
        "application_key": account.application_key,
        "application_secret": account.application_secret.get_secret_value(),
        "consumer_key": account.consumer_key.get_secret_value(),
        **keys,
    }
    made = ovh.Client(endpoint="ovh-eu", timeout=10, **given)
    made._endpoint = account.api_url
    return made


def signed(
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    stamp: int | None = None,
) -> httpx.Response:
    stamp = int(time.time()) if stamp is None else stamp
    text = f"{APPLICATION_SECRET}+{CONSUMER_KEY}+{method}+{url}++{stamp}"
    return client.request(
        method,
        url,
        headers={
            "X-Ovh-Application": APPLICATION_KEY,
            "X-Ovh-Consumer": CONSUMER_KEY,
            "X-Ovh-Timestamp": str(stamp),
            "X-Ovh-Signature": "$1$" + hashlib.sha1(text.encode()).hexdigest(),  # noqa: S324 -- OVHcloud's signature
            **(headers or {}),
        },
    )


def control(client: httpx.Client, base: str, what: str, **body: Any) -> None:
    answer = client.post(f"{base}/_simulator/{what}", json=body)
    assert answer.status_code == 200, answer.text


def calls(client: httpx.Client, base: str) -> dict[str, int]:
    found: dict[str, int] = client.get(f"{base}/_simulator/calls").json()["routes"]
    return found


def test_every_route_can_be_read(api: ovh.Client) -> None:
    assert api.get("/dedicatedCloud") == [SERVICE, EXPIRED_SERVICE]
    assert api.get(S)["serviceName"] == SERVICE
    assert api.get(f"{S}/serviceInfos")["status"] == "ok"
    assert api.get(f"{S}/datacenter") == [869, 1145]
    assert api.get(D)["datacenterId"] == 869
    assert api.get(f"{D}/backup")["state"] == "enabled"
    for kind, ident in (
        ("filer", "filerId"),
        ("host", "hostId"),
        ("vm", "vmId"),
        ("cluster", "clusterId"),
        ("task", "taskId"),
    ):
        ids = api.get(f"{D}/{kind}")
        assert ids
        assert api.get(f"{D}/{kind}/{ids[0]}")[ident] == ids[0]
    for kind, ident in (
        ("filer", "filerId"),
        ("user", "userId"),
        ("task", "taskId"),
        ("backupRepository", "repositoryId"),
        ("robot", "name"),
    ):
        ids = api.get(f"{S}/{kind}")
        assert ids
        assert api.get(f"{S}/{kind}/{ids[0]}")[ident] == ids[0]
    assert api.get(f"{S}/vrops")["state"] == "disabled"
    assert abs(api.get("/auth/time", _need_auth=False) - time.time()) < 5


def test_both_prefixes_are_the_same_api(client: httpx.Client, base: str) -> None:
    first = signed(client, f"{base}/1.0/dedicatedCloud")
    second = signed(client, f"{base}/v1/dedicatedCloud")

    assert first.json() == second.json()
    assert first.headers["X-OVH-QUERYID"].startswith("EU.ext-99.")
    assert first.headers["X-OVH-QUERYID"] != second.headers["X-OVH-QUERYID"]


def test_objects_of_one_datacenter_are_not_in_the_other(api: ovh.Client) -> None:
    here = set(api.get(f"{D}/vm"))
    there = set(api.get(f"{S}/datacenter/1145/vm"))

    assert here
    assert there
    assert not here & there
    with pytest.raises(ovh.exceptions.ResourceNotFoundError):
        api.get(f"{D}/vm/{min(there)}")


@pytest.mark.parametrize(
    "path",
    [
        "/dedicatedCloud/pcc-1-2-3-4",
        f"{S}/datacenter/1",
        f"{D}/vm/999999",
        f"{D}/vm/abc",
        f"{D}/host/1",
        f"{D}/filer/1",
        f"{S}/filer/7001",
        f"{S}/user/1",
        f"{S}/task/1",
        f"{S}/nonsense",
    ],
)
def test_unknown_objects_are_404(client: httpx.Client, base: str, path: str) -> None:
    answer = signed(client, f"{base}/1.0{path}")

    assert answer.status_code == 404
    assert answer.json()["class"] == "Client::NotFound"


def test_an_expired_service_is_460(api: ovh.Client) -> None:
    with pytest.raises(ovh.exceptions.ResourceExpiredError):
        api.get(f"/dedicatedCloud/{EXPIRED_SERVICE}/datacenter")
    assert api.get(f"/dedicatedCloud/{EXPIRED_SERVICE}/serviceInfos")["status"] == "expired"


def test_the_query_string_is_part_of_the_signature(client: httpx.Client, base: str) -> None:
    url = f"{base}/1.0{S}/user?name=admin"

    assert signed(client, url).json() == [9001, 9002]
    stamp = int(time.time())
    text = f"{APPLICATION_SECRET}+{CONSUMER_KEY}+GET+{base}/1.0{S}/user++{stamp}"
    headers = {
        "X-Ovh-Application": APPLICATION_KEY,
        "X-Ovh-Consumer": CONSUMER_KEY,
        "X-Ovh-Timestamp": str(stamp),
        "X-Ovh-Signature": "$1$" + hashlib.sha1(text.encode()).hexdigest(),  # noqa: S324 -- OVHcloud's signature
    }
    answer = client.get(url, headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {
        "errorCode": "INVALID_SIGNATURE",
        "httpCode": "400 Bad Request",
        "message": "Invalid signature",
    }


@pytest.mark.parametrize(("off", "code"), [(170, None), (-170, None), (200, "QUERY_TIME_OUT")])
def test_timestamps_may_be_three_minutes_off(
    client: httpx.Client, base: str, off: int, code: str | None
) -> None:
    answer = signed(client, f"{base}/1.0/dedicatedCloud", stamp=int(time.time()) + off)

    assert answer.status_code == (200 if code is None else 400)
    if code:
        assert answer.json()["errorCode"] == code


def test_nobody_and_unknown_applications_are_refused(client: httpx.Client, base: str) -> None:
    nobody = client.get(f"{base}/1.0/dedicatedCloud")
    assert (nobody.status_code, nobody.json()["message"]) == (401, "You must login first")
    unknown = signed(client, f"{base}/1.0/dedicatedCloud", {"X-Ovh-Application": "other"})
    assert unknown.status_code == 403
    assert unknown.json()["message"] == "This application key is invalid"


@pytest.mark.parametrize("state", ["expired", "pendingValidation", "refused"])
def test_keys_that_are_not_valid(client: httpx.Client, base: str, state: str) -> None:
    control(client, base, "credential", state=state)

    with pytest.raises(ovh.exceptions.InvalidCredential):
        client_for(base).get("/dedicatedCloud")
    control(client, base, "credential", state="validated", expiration=time.time() - 1)
    with pytest.raises(ovh.exceptions.InvalidCredential):
        client_for(base).get("/dedicatedCloud")
    control(client, base, "credential", state="validated", expiration=None)
    assert client_for(base).get("/dedicatedCloud")


def test_rules_limit_a_key(client: httpx.Client, base: str, api: ovh.Client) -> None:
    control(client, base, "credential", rules=[{"method": "GET", "path": f"{D}/*"}])

    assert api.get(f"{D}/vm")
    for path in ("/dedicatedCloud", f"{S}/datacenter/1145/vm"):
        with pytest.raises(ovh.exceptions.NotGrantedCall):
            api.get(path)


def test_login_creates_a_key_that_a_person_validates(client: httpx.Client, base: str) -> None:
    fresh = client_for(base)
    request = fresh.new_consumer_key_request()
    request.add_rules(ovh.API_READ_ONLY, "/dedicatedCloud")
    validation = request.request()

    assert validation["state"] == "pendingValidation"
    schema = jsonschema.Draft202012Validator(json_schema("auth.ApiCredentialRequest"))
    assert list(schema.iter_errors(validation)) == []
    with pytest.raises(ovh.exceptions.InvalidCredential):
        fresh.get("/dedicatedCloud")
    assert client.get(validation["validationUrl"]).status_code == 200
    assert fresh.get("/dedicatedCloud")
    with pytest.raises(ovh.exceptions.NotGrantedCall):
        fresh.get(S)
    assert client.get(validation["validationUrl"]).status_code == 404


def test_a_key_describes_itself(api: ovh.Client) -> None:
    current = api.get("/auth/currentCredential")
    details = api.get("/auth/details")

    for kind, found in (("auth.ApiCredential", current), ("auth.Details", details)):
        schema = jsonschema.Draft202012Validator(json_schema(kind))
        assert list(schema.iter_errors(found)) == []
    assert current["status"] == "validated"
    assert {"method": "GET", "path": "/dedicatedCloud/*"} in current["rules"]
    assert details["method"] == "account"
    api.post("/auth/logout")
    with pytest.raises(ovh.exceptions.InvalidCredential):
        api.get("/auth/details")


def test_service_accounts(
    client: httpx.Client, base: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = demo_account(base, oauth2=True)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setitem(ovh.client.OAUTH2_TOKEN_URLS, "ovh-eu", account.oauth2_token_url)
    api = ovh.Client(endpoint="ovh-eu", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    api._endpoint = account.api_url

    assert api.get("/dedicatedCloud")
    assert api.get("/auth/details")["method"] == "oauth2_client_credentials"
    action = "pccVMware:apiovh:datacenter/vm/get"
    control(client, base, "credential", denied_actions=[action])
    with pytest.raises(ovh.exceptions.APIError, match="User not granted for this request") as seen:
        api.get(f"{D}/vm")
    assert seen.value.response.json()["details"]["unauthorizedActionsByIAM"] == action
    assert api.get(f"{D}/host")
    clock.ahead = 3600.0
    assert api.raw_call("GET", "/dedicatedCloud").status_code == 401


def test_oauth2_tokens_by_form(client: httpx.Client, base: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": "all",
    }
    url = f"{base}/auth/oauth2/token"
    given = client.post(url, data=form).json()

    assert {key: given[key] for key in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "scope": "all",
    }
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert client.get(f"{base}/1.0/dedicatedCloud", headers=headers).status_code == 200
    wrong = client.post(url, data={**form, "client_secret": "no"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert client.post(url, data={**form, "grant_type": "password"}).status_code == 400
    control(client, base, "credential", expire_bearers=True)
    assert client.get(f"{base}/1.0/dedicatedCloud", headers=headers).status_code == 401


def test_batches_answer_item_by_item(client: httpx.Client, base: str, api: ovh.Client) -> None:
    ids = api.get(f"{D}/vm")[:3]
    path = ",".join(map(str, [*ids, 77]))
    answer = signed(client, f"{base}/1.0{D}/vm/{path}", {"X-Ovh-Batch": ","}).json()

    assert [item["key"] for item in answer] == [*map(str, ids), "77"]
    assert [item["value"]["vmId"] for item in answer[:3]] == ids
    assert [item["error"] for item in answer[:3]] == [None] * 3
    assert answer[3]["value"] is None
    assert answer[3]["error"]["class"] == "Client::NotFound"
    counted = calls(client, base)
    assert counted[f"GET {_template('vm/{vmId}')} (batch)"] == 1
    other = signed(client, f"{base}/1.0{D}/vm/{path.replace(',', ';')}", {"X-Ovh-Batch": ";"})
    assert len(other.json()) == 4
    assert signed(client, f"{base}/1.0{D}/vm/{path}").status_code == 404


def _template(tail: str) -> str:
    return "/dedicatedCloud/{serviceName}/datacenter/{datacenterId}/" + tail


def test_batches_over_datacenters_and_services(client: httpx.Client, base: str) -> None:
    both = signed(client, f"{base}/1.0{S}/datacenter/869,1145", {"X-Ovh-Batch": ","}).json()
    assert [item["value"]["datacenterId"] for item in both] == [869, 1145]
    services = f"{base}/1.0/dedicatedCloud/{SERVICE},{EXPIRED_SERVICE}"
    found = signed(client, services, {"X-Ovh-Batch": ","}).json()
    assert found[0]["value"]["serviceName"] == SERVICE
    assert found[1]["error"]["message"] == "This service is expired"


def test_tasks_can_be_filtered(api: ovh.Client) -> None:
    path = f"{S}/globalTasks"
    everything = {ident: api.get(f"{S}/task/{ident}") for ident in api.get(path)}

    def wanted(**query: Any) -> list[dict[str, Any]]:
        parameters = {key.replace("_", "."): value for key, value in query.items()}
        return [everything[ident] for ident in api.get(path, **parameters)]

    assert len(everything) > 30
    assert {task["name"] for task in wanted(name="maintenance")} == {"hostMaintenance"}
    assert {task["state"] for task in wanted(state="doing")} == {"doing"}
    assert {task["datacenterId"] for task in wanted(datacenterId=1145)} == {1145}
    assert {task["hostId"] for task in wanted(hostId=4001)} == {4001}
    middle = sorted(task["executionDate"] for task in everything.values())[15]
    later = wanted(executionDate_from=middle)
    earlier = wanted(executionDate_to=middle)
    assert len(later) + len(earlier) == len(everything) + 1
    ended = wanted(endDate_from="2000-01-01T00:00:00+00:00")
    assert {task["endDate"] is None for task in ended} == {False}
    assert len(ended) == sum(task["endDate"] is not None for task in everything.values())
    with pytest.raises(ovh.exceptions.BadParametersError):
        wanted(endDate_from="yesterday")


def test_several_states_in_one_filter(client: httpx.Client, base: str) -> None:
    url = f"{base}/1.0{S}/globalTasks"
    doing = signed(client, f"{url}?state=doing").json()
    failed = signed(client, f"{url}?state=error").json()
    both = signed(client, f"{url}?state=doing&state=error").json()

    assert doing
    assert failed
    assert sorted(both) == sorted(doing + failed)


def test_the_rate_limit_answers_429(
    client: httpx.Client, build: Callable[..., str], clock: Clock
) -> None:
    url = f"{build(rate_limit_per_minute=3)}/1.0/dedicatedCloud"

    statuses = [signed(client, url).status_code for _ in range(4)]
    clock.ahead = 61.0
    later = signed(client, url, stamp=int(clock())).status_code

    assert statuses == [200, 200, 200, 429]
    assert later == 200


@pytest.mark.parametrize("offered", ["metricsToken", "getVscopeMetricsToken"])
def test_one_of_the_two_token_calls_answers(
    client: httpx.Client, build: Callable[..., str], offered: str
) -> None:
    base = build(issuing_path=offered)

    statuses = {
        name: signed(client, f"{base}/1.0{S}/user/9001/{name}", method="POST").status_code
        for name in ("metricsToken", "getVscopeMetricsToken")
    }

    assert statuses == {
        name: 200 if name == offered else 404 for name in ("metricsToken", "getVscopeMetricsToken")
    }


def test_tokens_may_not_be_offered_at_all(client: httpx.Client, build: Callable[..., str]) -> None:
    base = build(offer_token=False)

    for name in ("metricsToken", "getVscopeMetricsToken"):
        answer = signed(client, f"{base}/1.0{S}/user/9001/{name}", method="POST")
        assert answer.status_code == 404
        assert answer.json()["class"] == "Client::NotFound"


def test_a_token_opens_the_history_until_it_is_revoked(
    client: httpx.Client, base: str, api: ovh.Client
) -> None:
    given = api.post(f"{S}/user/9001/metricsToken")
    schema = jsonschema.Draft202012Validator(json_schema("dedicatedCloud.metricsToken"))
    assert list(schema.iter_errors(given)) == []
    assert given == api.post(f"{S}/user/9001/metricsToken")

    def ask(token: str) -> httpx.Response:
        query = {"metric": "vscope.host.mem.usage.perc", "aggregator": "none"}
        body = json.dumps({"start": "1h-ago", "queries": [query]})
        url = given["opentsdbEndpoint"] + "/api/query"
        return client.post(url, content=body, auth=("read", token))

    assert len(ask(given["token"]).json()) == 8
    control(client, base, "token")
    refused = ask(given["token"])
    assert (refused.status_code, refused.text) == (
        500,
        "invalid character 'i' looking for beginning of value\n",
    )
    fresh = api.post(f"{S}/user/9001/metricsToken")["token"]
    assert fresh != given["token"]
    assert len(ask(fresh).json()) == 8
    control(client, base, "token", mode="deny")
    assert ask(fresh).status_code == 403


def test_a_token_opens_warp10_until_it_has_expired(
    client: httpx.Client, base: str, api: ovh.Client
) -> None:
    given = api.post(f"{S}/user/9001/metricsToken")
    url = given["warpEndpoint"] + "/api/v0/exec"

    def ask(token: str, text: str = POINTS.plain) -> httpx.Response:
        now = int(time.time()) * 1_000_000
        parameters = {"token": token, "class": "vscope.host.mem.usage.perc", "labels": {}}
        parameters |= {"end": now, "timespan": 3_600_000_000}
        return client.post(url, content=written(text, parameters))

    (found,) = ask(given["token"]).json()
    assert len(found) == 8
    assert {one["l"][".app"] for one in found} == {"vscope"}
    control(client, base, "token", mode="expire")
    refused = ask(given["token"])
    assert refused.status_code == 500
    assert "(Token Expired.)" in refused.headers["X-Warp10-Error-Message"]
    assert ask("no token").headers["X-Warp10-Error-Message"].endswith("(Invalid token.))")
    fresh = api.post(f"{S}/user/9001/metricsToken")["token"]
    assert ask(fresh).status_code == 200
    client.delete(f"{base}/_simulator/calls")
    assert ask(fresh, POINTS.plain + "'x' DROP").status_code == 500
    counted = client.get(f"{base}/_simulator/calls").json()
    assert (counted["injections"], counted["scripts"]) == (1, 1)


def test_text_that_would_run_as_code_is_counted(
    client: httpx.Client, base: str, api: ovh.Client
) -> None:
    given = api.post(f"{S}/user/9001/metricsToken")
    queries = [{"metric": name, "aggregator": "none"} for name in ("fine", "x' DROP //")]
    body = {"start": "1h-ago", "queries": queries}
    url = given["opentsdbEndpoint"] + "/api/query"

    assert client.post(url, json=body, auth=("read", given["token"])).status_code == 500
    counted = client.get(f"{base}/_simulator/calls").json()
    assert (counted["injections"], counted["sub_queries"]) == (1, 2)


def test_calls_are_counted_by_route(client: httpx.Client, base: str, api: ovh.Client) -> None:
    for _ in range(3):
        api.get(f"{D}/vm")
    assert calls(client, base)[f"GET {_template('vm')}"] == 3
    client.delete(f"{base}/_simulator/calls")
    assert calls(client, base) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"state": "asleep"},
        {"consumer_key": "nobody", "state": "expired"},
        {"rules": [{"method": "GET"}]},
        {"client_id": "nobody", "denied_actions": []},
        [],
    ],
)
def test_wrong_orders_to_the_simulator_are_400(client: httpx.Client, base: str, body: Any) -> None:
    answer = client.post(f"{base}/_simulator/credential", json=body)

    assert answer.status_code == 400
    assert answer.json()["message"]
