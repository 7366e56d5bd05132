"""The routes of the simulated APIv6, each with its IAM action (reference: ovh 1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.demo.apiv6.world import World
    from bridge.demo.options import DemoOptions

    Handler = Callable[["Call"], Any]

_S = "/dedicatedCloud/{serviceName}"
_D = _S + "/datacenter/{datacenterId}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: path parameters in order, query, and the simulator's own address."""

    params: tuple[str, ...]
    query: Mapping[str, Sequence[str]]
    base: str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API."""

    method: str
    template: str
    action: str
    handler: Handler

    @property
    def segments(self) -> tuple[str, ...]:
        """The template, cut at the slashes."""
        return tuple(self.template.split("/"))

    def match(self, segments: Sequence[str]) -> tuple[str, ...] | None:
        """Return the path parameters, None when the path is another one."""
        mine = self.segments
        if len(mine) != len(segments):
            return None
        found = []
        for pattern, segment in zip(mine, segments, strict=True):
            if pattern.startswith("{"):
                found.append(segment)
            elif pattern != segment:
                return None
        return tuple(found)


def _get(template: str, action: str, handler: Handler) -> Route:
    return Route("GET", template, f"pccVMware:apiovh:{action}", handler)


def routes(world: World, options: DemoOptions) -> tuple[Route, ...]:
    """Return all routes of ``/dedicatedCloud``."""
    found = [
        _get("/dedicatedCloud", "get", lambda _: world.services()),
        _get(_S, "get", lambda c: world.service(*c.params)),
        _get(f"{_S}/serviceInfos", "serviceInfos/get", lambda c: world.service_infos(*c.params)),
        _get(f"{_S}/datacenter", "datacenter/get", lambda c: world.datacenters(*c.params)),
        _get(_D, "datacenter/get", lambda c: world.datacenter(*c.params)),
        _get(f"{_D}/filer", "datacenter/filer/get", lambda c: world.filers(*c.params)),
        _get(f"{_D}/filer/{{filerId}}", "datacenter/filer/get", lambda c: world.filer(*c.params)),
        _get(f"{_D}/host", "datacenter/host/get", lambda c: world.hosts(*c.params)),
        _get(f"{_D}/host/{{hostId}}", "datacenter/host/get", lambda c: world.host(*c.params)),
        _get(f"{_D}/vm", "datacenter/vm/get", lambda c: world.vms(*c.params)),
        _get(f"{_D}/vm/{{vmId}}", "datacenter/vm/get", lambda c: world.vm(*c.params)),
        _get(f"{_D}/cluster", "datacenter/cluster/get", lambda c: world.clusters(*c.params)),
        _get(
            f"{_D}/cluster/{{clusterId}}",
            "datacenter/cluster/get",
            lambda c: world.cluster(*c.params),
        ),
        _get(f"{_D}/backup", "datacenter/backup/get", lambda c: world.backup(*c.params)),
        _get(
            f"{_D}/task",
            "datacenter/task/get",
            lambda c: world.tasks(c.params[0], c.query, c.params[1]),
        ),
        _get(
            f"{_D}/task/{{taskId}}",
            "datacenter/task/get",
            lambda c: world.task(c.params[0], c.params[2], c.params[1]),
        ),
        _get(f"{_S}/filer", "filer/get", lambda c: world.global_filers(*c.params)),
        _get(f"{_S}/filer/{{filerId}}", "filer/get", lambda c: world.global_filer(*c.params)),
        _get(f"{_S}/task", "task/get", lambda c: world.tasks(c.params[0], c.query)),
        _get(f"{_S}/task/{{taskId}}", "task/get", lambda c: world.task(*c.params)),
        _get(
            f"{_S}/globalTasks",
            "globalTasks/get",
            lambda c: world.global_tasks(c.params[0], c.query),
        ),
        _get(f"{_S}/user", "user/get", lambda c: world.users(c.params[0], c.query)),
        _get(f"{_S}/user/{{userId}}", "user/get", lambda c: world.user(*c.params)),
        _get(
            f"{_S}/backupRepository",
            "backupRepository/get",
            lambda c: world.repositories(*c.params),
        ),
        _get(
            f"{_S}/backupRepository/{{repositoryId}}",
            "backupRepository/get",
            lambda c: world.repository(*c.params),
        ),
        _get(f"{_S}/robot", "robot/get", lambda c: world.robots(*c.params)),
        _get(f"{_S}/robot/{{name}}", "robot/get", lambda c: world.robot(*c.params)),
        _get(f"{_S}/vrops", "vrops/get", lambda c: world.vrops(*c.params)),
    ]
    if options.offer_token:
        found.append(
            Route(
                "POST",
                f"{_S}/user/{{userId}}/{options.issuing_path}",
                "pccVMware:apiovh:user/metricsToken/create",
                lambda c: world.metrics_token(c.params[0], c.params[1], c.base),
            )
        )
    return tuple(found)
