"""What APIv6 answers: services, their objects, tasks and vScope tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bridge.demo import machines, objects
from bridge.demo.apiv6.refusals import classed, not_found
from bridge.demo.fleet import EXPIRED_SERVICE, SERVICE
from bridge.demo.tasks import all_tasks, changed_at, task_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.demo.fleet import Fleet, Place, StoreSpec
    from bridge.demo.options import DemoOptions
    from bridge.demo.tasks import TaskSpec
    from bridge.demo.tokens import VscopeTokens

    Query = Mapping[str, Sequence[str]]

_REPOSITORY = 601
_ROBOT = "hardware-watch"


def _number(text: str) -> int:
    """Return an id; text that is none names no object."""
    if not text.isdecimal():
        raise not_found(text)
    return int(text)


def _like(pattern: str, text: str) -> bool:
    """Compare the way APIv6's "like" filters do: case-blind, anywhere in the text."""
    return pattern.strip("%").lower() in text.lower()


class World:
    """Answers of one simulated OVHcloud; every method takes path parameters as text.

    Args:
        fleets: The objects of each service; the first one is the main service.
        options: What is offered.
        tokens: Who hands out vScope tokens.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        fleets: Mapping[str, Fleet],
        options: DemoOptions,
        tokens: VscopeTokens,
        clock: Callable[[], float],
    ) -> None:
        self._fleets = fleets
        self._options = options
        self._tokens = tokens
        self._clock = clock
        self._figures = {name: machines.LiveFigures(fleet) for name, fleet in fleets.items()}

    def services(self) -> list[str]:
        """List service names."""
        return [*self._fleets, *([EXPIRED_SERVICE] if self._options.expired_service else [])]

    def require_service(self, name: str) -> None:
        """Raise unless the service exists and has not expired."""
        if name not in self.services():
            raise not_found(name)
        if name == EXPIRED_SERVICE:
            raise classed(460, "Client::Expired", "This service is expired")

    def _fleet(self, service: str) -> Fleet:
        self.require_service(service)
        return self._fleets[service]

    def service(self, name: str) -> dict[str, Any]:
        """Return one service."""
        return objects.service_object(self._fleet(name), name)

    def service_infos(self, name: str) -> dict[str, Any]:
        """Return its contract, which can be read even when it has expired."""
        if name not in self.services():
            raise not_found(name)
        fleet = self._fleets.get(name) or self._fleets[SERVICE]
        return objects.service_infos(fleet, name, expired=name == EXPIRED_SERVICE)

    def _place(self, service: str, datacenter: str) -> Place:
        ident = _number(datacenter)
        for place in self._fleet(service).places:
            if place.datacenter_id == ident:
                return place
        raise not_found(datacenter)

    def datacenters(self, service: str) -> list[int]:
        """List datacenter ids."""
        return [place.datacenter_id for place in self._fleet(service).places]

    def datacenter(self, service: str, datacenter: str) -> dict[str, Any]:
        """Return one datacenter."""
        return objects.datacenter_object(self._place(service, datacenter))

    def clusters(self, service: str, datacenter: str) -> list[int]:
        """List cluster ids."""
        return [ident for ident, _ in self._place(service, datacenter).clusters]

    def cluster(self, service: str, datacenter: str, cluster: str) -> dict[str, Any]:
        """Return one cluster."""
        for ident, name in self._place(service, datacenter).clusters:
            if ident == _number(cluster):
                return objects.cluster_object(ident, name)
        raise not_found(cluster)

    def hosts(self, service: str, datacenter: str) -> list[int]:
        """List host ids."""
        ident = self._place(service, datacenter).datacenter_id
        hosts = self._fleet(service).hosts
        return [host.host_id for host in hosts if host.datacenter_id == ident]

    def host(self, service: str, datacenter: str, host: str) -> dict[str, Any]:
        """Return one host."""
        index = _number(host) - 4001
        if _number(host) not in self.hosts(service, datacenter):
            raise not_found(host)
        fleet = self._fleet(service)
        return machines.host_object(fleet, fleet.hosts[index], self._clock())

    def vms(self, service: str, datacenter: str) -> list[int]:
        """List VM ids."""
        ident = self._place(service, datacenter).datacenter_id
        return [vm.vm_id for vm in self._fleet(service).vms if vm.datacenter_id == ident]

    def vm(self, service: str, datacenter: str, vm: str) -> dict[str, Any]:
        """Return one VM."""
        ident = self._place(service, datacenter).datacenter_id
        fleet = self._fleet(service)
        index = _number(vm) - 5001
        if not 0 <= index < len(fleet.vms):
            raise not_found(vm)
        found = fleet.vms[index]
        if found.datacenter_id != ident:
            raise not_found(vm)
        now = self._clock()
        return machines.vm_object(fleet, found, now, self._figures[service].of(index, now))

    def _stores(self, service: str, place: int | None) -> Iterable[StoreSpec]:
        return (one for one in self._fleet(service).stores if one.datacenter_id == place)

    def filers(self, service: str, datacenter: str) -> list[int]:
        """List the datastores of a datacenter."""
        place = self._place(service, datacenter)
        return [store.filer_id for store in self._stores(service, place.datacenter_id)]

    def filer(self, service: str, datacenter: str, filer: str) -> dict[str, Any]:
        """Return one datastore of a datacenter."""
        return self._filer(service, self._place(service, datacenter).datacenter_id, filer)

    def global_filers(self, service: str) -> list[int]:
        """List the datastores mounted on all datacenters."""
        return [store.filer_id for store in self._stores(service, None)]

    def global_filer(self, service: str, filer: str) -> dict[str, Any]:
        """Return one of those."""
        return self._filer(service, None, filer)

    def _filer(self, service: str, place: int | None, filer: str) -> dict[str, Any]:
        for store in self._stores(service, place):
            if store.filer_id == _number(filer):
                return machines.store_object(self._fleet(service), store, self._clock())
        raise not_found(filer)

    def backup(self, service: str, datacenter: str) -> dict[str, Any]:
        """Return the backup option of a datacenter."""
        self._place(service, datacenter)
        return objects.backup_object()

    def repositories(self, service: str) -> list[int]:
        """List backup repositories."""
        self.require_service(service)
        return [_REPOSITORY]

    def repository(self, service: str, repository: str) -> dict[str, Any]:
        """Return one backup repository."""
        self.require_service(service)
        if _number(repository) != _REPOSITORY:
            raise not_found(repository)
        return objects.repository_object(self._clock())

    def robots(self, service: str) -> list[str]:
        """List robots."""
        self.require_service(service)
        return [_ROBOT]

    def robot(self, service: str, robot: str) -> dict[str, Any]:
        """Return one robot."""
        self.require_service(service)
        if robot != _ROBOT:
            raise not_found(robot)
        return objects.robot_object(robot)

    def vrops(self, service: str) -> dict[str, Any]:
        """Return the Aria Operations option."""
        self.require_service(service)
        return objects.vrops_object()

    def users(self, service: str, query: Query) -> list[int]:
        """List vCenter users; ``name`` filters by likeness."""
        self.require_service(service)
        wanted = (query.get("name") or [""])[0]
        return [ident for ident, login in objects.USERS if _like(wanted, login)]

    def user(self, service: str, user: str) -> dict[str, Any]:
        """Return one user."""
        self.require_service(service)
        for ident, login in objects.USERS:
            if ident == _number(user):
                return objects.user_object(ident, login)
        raise not_found(user)

    def metrics_token(self, service: str, user: str, base: str) -> dict[str, str]:
        """Return the vScope token of a user; ``base`` is the simulator's own address.

        Only the main service has history.
        """
        self.user(service, user)
        if service != SERVICE:
            raise not_found(service)
        return {
            "opentsdbEndpoint": f"{base}/opentsdb",
            "token": self._tokens.issue(user),
            "warpEndpoint": f"{base}/warp10",
        }

    def tasks(self, service: str, query: Query, datacenter: str | None = None) -> list[int]:
        """List tasks; ``name`` (like) and ``state`` filter."""
        place = None if datacenter is None else self._place(service, datacenter).datacenter_id
        self.require_service(service)
        narrowed = dict(query)
        if place is not None:
            narrowed["datacenterId"] = [str(place)]
        return self.global_tasks(service, narrowed)

    def task(self, service: str, task: str, datacenter: str | None = None) -> dict[str, Any]:
        """Return one task."""
        self.require_service(service)
        now = self._clock()
        found = all_tasks(self._fleet(service), now).get(_number(task))
        if found is None:
            raise not_found(task)
        if datacenter is not None and str(found.datacenter_id) != datacenter:
            raise not_found(task)
        return task_object(found, now)

    def global_tasks(self, service: str, query: Query) -> list[int]:
        """List tasks by any of the filters of ``globalTasks`` (all must match)."""
        self.require_service(service)
        now = self._clock()
        known = all_tasks(self._fleet(service), now)
        return [ident for ident, task in known.items() if _wanted(task, query, now)]


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise classed(400, "Client::BadRequest", f"Invalid datetime: {text}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _wanted(task: TaskSpec, query: Query, now: float) -> bool:
    fields = task_object(task, now)
    for key in (
        "datacenterId", "filerId", "hostId", "userId", "vlanId", "orderId",
        "networkAccessId", "parentTaskId",
    ):  # fmt: skip
        if key in query and str(fields[key]) not in query[key]:
            return False
    if "name" in query and not _like(query["name"][0], task.name):
        return False
    states = [*query.get("state", ()), *query.get("state[]", ())]
    if states and task.state(now) not in states:
        return False
    moments = {
        "executionDate": task.begin,
        "endDate": task.end if now >= task.end else None,
        "lastModificationDate": changed_at(task, now),
    }
    for key, moment in moments.items():
        low, high = query.get(f"{key}.from"), query.get(f"{key}.to")
        if low and (moment is None or moment < _moment(low[0])):
            return False
        if high and (moment is None or moment > _moment(high[0])):
            return False
    return True
