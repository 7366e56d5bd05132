"""``GET /federate`` over HTTP: formats, encodings, narrowing, freshness and refusals."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from bridge.credentials import Credential
from bridge.doors import federate
from bridge.doors.auth import Admission, AuthMiddleware
from bridge.doors.doorway import Doorway, Limits
from bridge.doors.finished import finished_answers
from bridge.doors.guard import GuardMiddleware
from bridge.ovh.objects import Poll, ServiceInventory, Snapshot
from tests.doors.stand import DC1, NOW, SERVICE, small_company
from tests.federate.reading import of, one, samples
from tests.servers import Slot, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.federate.reading import Samples

#: As Prometheus 3 asks.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OTHER = "pcc-192-0-2-2"
COMPANY = small_company().services[SERVICE]


class Stand:
    """One server whose inventory changes."""

    def __init__(self, url: str, slot: Slot) -> None:
        self.url = url
        self._slot = slot
        self.snapshot = Snapshot()
        self.use()

    def use(self, *, credentials: Sequence[Credential] = (), **more: Any) -> None:
        """Serve the door anew: the whole application takes a second to build."""
        nobody: Any = None  # no engine: what asks one would fail
        given = {"limits": Limits(max_live_age_s=900.0), "clock": lambda: float(NOW), **more}
        doorway = Doorway(nobody, lambda: self.snapshot, **given)
        self._slot.app = Starlette(
            routes=federate.Federation(doorway).routes(),
            middleware=[
                Middleware(GuardMiddleware, deadline_s=25.0),
                Middleware(AuthMiddleware, admission=Admission(credentials)),
            ],
        )

    def show(self, *services: ServiceInventory, unlisted: tuple[str, ...] = ()) -> None:
        self.snapshot = Snapshot(
            {service.name: service for service in services}, self.snapshot.version + 1, unlisted
        )


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Slot]]:
    slot = Slot()
    with serving(slot) as url:
        yield url, slot


@pytest.fixture
def stand(server: tuple[str, Slot]) -> Stand:
    made = Stand(*server)
    made.show(COMPANY)
    return made


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10.0) as made:
        yield made


def scrape(client: httpx.Client, stand: Stand, query: str = "", **headers: str) -> httpx.Response:
    return client.get(f"{stand.url}/federate{query}", headers=headers)


def read(client: httpx.Client, stand: Stand, query: str = "") -> Samples:
    answer = scrape(client, stand, query, Accept=PROMETHEUS)
    assert answer.status_code == 200, answer.text
    return samples(answer.text, openmetrics=True)


def kinds(found: Samples) -> set[str]:
    return {name.split("_")[1] for name, _ in found}


def test_both_formats_tell_the_same(client: httpx.Client, stand: Stand) -> None:
    new = scrape(client, stand, Accept=PROMETHEUS)
    old = scrape(client, stand, Accept="text/plain;version=0.0.4")
    assert (
        new.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert old.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert scrape(client, stand, Accept="*/*").text == old.text
    found = samples(new.text, openmetrics=True)
    assert samples(old.text, openmetrics=False) == found
    assert new.text.endswith("# EOF\n")
    assert "# UNIT" not in old.text
    assert one(
        found, "vscope_vm_info", service=SERVICE, datacenter=DC1, vm="vm-101", vm_name="web01"
    )
    assert not of(found, "vscope_vm_info", vm="vm-104"), "deleted"


def test_gzip_as_prometheus_asks(client: httpx.Client, stand: Stand) -> None:
    with client.stream(
        "GET", f"{stand.url}/federate", headers={"Accept-Encoding": "gzip", "Accept": PROMETHEUS}
    ) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(packed)
    assert {"Accept", "Accept-Encoding"} == set(answer.headers["vary"].split(", "))
    plain = scrape(client, stand, **{"Accept-Encoding": "identity", "Accept": PROMETHEUS})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content


def test_head(client: httpx.Client, stand: Stand) -> None:
    headers = {"Accept-Encoding": "identity"}
    answer = client.head(f"{stand.url}/federate", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    told = client.get(f"{stand.url}/federate", headers=headers)
    assert answer.headers["content-length"] == told.headers["content-length"]


def test_only_some(client: httpx.Client, stand: Stand) -> None:
    stand.show(COMPANY, replace(COMPANY, name=OTHER))
    assert {dict(k)["service"] for _, k in read(client, stand)} == {SERVICE, OTHER}
    assert {dict(k)["service"] for _, k in read(client, stand, f"?service={OTHER}")} == {OTHER}
    both = read(client, stand, f"?service={OTHER}&service={SERVICE}&service={OTHER}")
    assert both == read(client, stand)
    assert kinds(read(client, stand, "?kind=vm")) == {"service", "vm"}
    assert kinds(read(client, stand, "?kind=host&kind=cluster")) == {"service", "host", "cluster"}
    assert read(client, stand, "?kind=&service=") == read(client, stand)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?kind=vms", ["kind:", "'vms'", "did you mean vm?"]),
        ("?service=pcc-192-0-2-9", ["service:", "pcc-192-0-2-9", f"did you mean {SERVICE}?"]),
        ("?services=x", ["services:", "did you mean service?"]),
        ("?match%5B%5D=up", ["match[]:", "accepted: service, kind"]),
    ],
)
def test_unknown_names_are_refused(
    client: httpx.Client, stand: Stand, query: str, words: list[str]
) -> None:
    answer = scrape(client, stand, query)
    assert answer.status_code == 400
    for word in words:
        assert word in answer.json()["message"]


def test_before_the_first_reading(client: httpx.Client, stand: Stand) -> None:
    warming = ServiceInventory(OTHER, "default")
    for services in ((), (warming,)):
        stand.show(*services)
        answer = scrape(client, stand)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    stand.show(COMPANY, warming)
    assert of(read(client, stand), "vscope_service_up") == {
        frozenset({("service", SERVICE)}): 1.0,
        frozenset({("service", OTHER)}): 0.0,
    }
    assert scrape(client, stand, f"?service={OTHER}").status_code == 503
    stand.show(COMPANY, unlisted=("second",))
    answer = scrape(client, stand, f"?service={OTHER}")
    assert (answer.status_code, "'second'" in answer.json()["message"]) == (503, True)


def test_a_service_that_never_could_be_read_is_told(client: httpx.Client, stand: Stand) -> None:
    stand.show(ServiceInventory(OTHER, "default", state="failed", problem="no way"))
    found = read(client, stand)
    assert one(found, "vscope_service_up", service=OTHER) == 0.0
    assert one(found, "vscope_service_poll_state", service=OTHER, state="failed") == 1.0
    assert not of(found, "vscope_service_read_timestamp_seconds")


def test_gone_objects_disappear_with_the_next_reading(client: httpx.Client, stand: Stand) -> None:
    stand.use(answers=finished_answers(1 << 20))
    assert of(read(client, stand), "vscope_vm_info", vm="vm-101")
    place = COMPANY.datacenters[1]
    left = replace(place, vms={key: one for key, one in place.vms.items() if key != 101})
    stand.show(replace(COMPANY, datacenters={1: left}, polled_at=NOW - 1.0))
    found = read(client, stand)
    assert not of(found, "vscope_vm_info", vm="vm-101")
    assert of(found, "vscope_vm_info", vm="vm-102")


def test_what_is_old_is_never_shown(client: httpx.Client, stand: Stand) -> None:
    stand.use(limits=Limits(max_live_age_s=29.0))
    found = read(client, stand)
    assert one(found, "vscope_service_up", service=SERVICE) == 0.0
    assert one(found, "vscope_service_read_timestamp_seconds", service=SERVICE) == NOW - 30
    assert kinds(found) == {"service"}


def test_an_answer_is_given_again_until_it_is_old(client: httpx.Client, stand: Stand) -> None:
    elapsed = 0.0
    answers = finished_answers(1 << 20, lambda: elapsed)
    stand.use(answers=answers, timer=lambda: elapsed)
    first = scrape(client, stand, Accept=PROMETHEUS).content
    # Another version of the inventory, and the same reading of the service.
    stand.show(replace(COMPANY, datacenters={}))
    assert scrape(client, stand, Accept=PROMETHEUS).content == first
    assert b"vscope_vm_info" not in scrape(client, stand, "?kind=host").content
    # Read 30 s ago: that is 900 s after 870 s.
    elapsed = 869.0
    assert scrape(client, stand, Accept=PROMETHEUS).content == first
    elapsed = 871.0
    assert b"vscope_vm_info" not in scrape(client, stand, Accept=PROMETHEUS).content


async def test_what_is_scraped_is_made_again_once_its_service_has_been_read() -> None:
    snapshot = Snapshot({SERVICE: COMPANY}, 1)
    nobody: Any = None
    answers = finished_answers(1 << 20)
    doorway = Doorway(
        nobody,
        lambda: snapshot,
        Limits(max_live_age_s=900.0),
        clock=lambda: float(NOW),
        answers=answers,
    )
    federation = federate.Federation(doorway)
    transport = httpx.ASGITransport(Starlette(routes=federation.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as asking:
        first = await asking.get("/federate")
        kept = answers._answers
        assert len(kept) == 1
        place = COMPANY.datacenters[1]
        left = replace(place, vms={key: one for key, one in place.vms.items() if key != 101})
        read_anew = replace(COMPANY, datacenters={1: left}, polled_at=NOW - 1.0)
        other = ServiceInventory(OTHER, "default", state="failed", problem="no way")
        snapshot = Snapshot({SERVICE: read_anew}, 2)
        federation.hear(Poll(other, float(NOW), 120))
        federation.hear(Poll(read_anew, float(NOW), 120))
        while len(kept) < 2:  # noqa: ASYNC110 -- what is waited for is no event
            await asyncio.sleep(0)
        (made,) = (one for one in kept.values() if b"vm-101" not in gzip.decompress(one.body))
        second = await asking.get("/federate")
        assert gzip.decompress(made.body) == second.content != first.content
        assert len(kept) == 2
        # Nothing of several services is made ahead, and nothing where there is none.
        snapshot = Snapshot({SERVICE: COMPANY, OTHER: other}, 3)
        federation.hear(Poll(COMPANY, float(NOW), 120))
        snapshot = Snapshot({}, 4)
        federation.hear(Poll(COMPANY, float(NOW), 120))
        await asyncio.sleep(0)
        assert len(kept) == 2


def test_the_same_credentials_as_everywhere(client: httpx.Client, stand: Stand) -> None:
    stand.use(credentials=[Credential(token="let-me-in")])
    assert scrape(client, stand).status_code == 401
    assert scrape(client, stand, Authorization="Bearer let-me-in").status_code == 200
