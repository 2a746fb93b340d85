"""The executor ``ray``: jobs run on the nodes of a Ray cluster; the only module that imports ray.

Every node has one actor, which holds worker processes (``node_agent.py``). So a job has the same sandbox, limits and
failures as on one machine. The actor asks Ray for the CPUs that are free on its node, or for its GPUs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import HarnessError, UserError, one_line
from harness.execution.executors import NO_LIMITS, Executor, ExecutorSettings
from harness.execution.jobs import JobResult, JobType, Limits, MakeWorker
from harness.execution.local_pool import pickled_workers
from harness.execution.node_agent import NodeAgent, NodeSetup
from harness.execution.ray_pool import Actor, ClusterNode, NodeLostError, RayPool
from harness.execution.supervisor import supervise

CONNECT_SECONDS = 10.0
"""A cluster answers within this time."""

INSTALL_HINT = 'pip install "laion-beyond-harness[ray]"'


@contextlib.contextmanager
def open_ray(settings: ExecutorSettings) -> Iterator[Executor]:
    """Connect to a Ray cluster, or start one on this machine; actors, and a cluster that was started, end with it.

    Raises:
        HarnessError: ray is not installed, or the cluster cannot be used.
    """
    cluster = RayCluster(settings)

    def run(
        jobs: Sequence[JobType],
        make_worker: MakeWorker[JobType],
        limits: Limits = NO_LIMITS,
        groups: Sequence[str] | None = None,
    ) -> Iterator[JobResult]:
        pool = RayPool(cluster, lambda node: cluster.setup(node, make_worker, limits), settings.note)
        return supervise(pool, jobs, groups, alone=not limits.isolated)

    try:
        yield run
    finally:
        cluster.close()


class RayCluster:
    """A connection to a cluster: its nodes, and actors on them."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings, self._names = settings, dict[str, str]()
        ray = require_cluster(settings.address)
        self._ray: Any = ray
        ray._private.worker.print_to_stdstream = _silent  # it prints what raylets say on stdout, which is for results
        with _own_signals(), _one_attempt():
            _connect(ray, settings)

    def nodes(self) -> list[ClusterNode]:
        """The nodes that are alive, with the CPUs and GPUs that are free."""
        free = self._ray._private.state.available_resources_per_node()
        found = []
        for node in self._ray.nodes():
            if node["Alive"]:
                own, name = free.get(node["NodeID"], {}), self._name(node["NodeID"], str(node["NodeManagerHostname"]))
                found.append(ClusterNode(node["NodeID"], name, int(own.get("CPU", 0)), int(own.get("GPU", 0))))
        return found

    def _name(self, node: str, host: str) -> str:
        """The name of a node: that of its host, if no other node has it."""
        taken = host in self._names.values()
        return self._names.setdefault(node, f"{host}-{node[:6]}" if taken else host)

    def setup(self, node: ClusterNode, make_worker: MakeWorker[JobType], limits: Limits) -> NodeSetup | None:
        """What a node is set up with: a process for every CPU, or as many for each GPU; None if it has none."""
        devices, workers = limits.devices, node.cpus
        if devices[0] != "cpu":
            devices = tuple(f"cuda:{number}" for number in range(node.gpus))
            workers = node.gpus * (limits.workers // len(limits.devices))
        if not workers:
            return None
        own = replace(limits, workers=workers, devices=devices)
        return NodeSetup(self._settings.prepare, pickled_workers(make_worker, devices), own)

    def start(self, node: ClusterNode, gpus: bool) -> Actor:
        """Start an actor on a node."""
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=False)
        wanted = {"num_cpus": 0, "num_gpus": node.gpus} if gpus else {"num_cpus": node.cpus}
        remote = self._ray.remote(max_restarts=0, max_concurrency=2, scheduling_strategy=strategy, **wanted)
        return remote(NodeAgent).remote()

    def wait(self, calls: Sequence[Any], seconds: float) -> list[Any]:
        """Those of some calls that have returned, as soon as there are some."""
        done, _ = self._ray.wait(list(calls), num_returns=1, timeout=seconds)
        return list(done)

    def get(self, call: Any) -> Any:
        """What a call returned.

        Raises:
            NodeLostError: the actor, its node or the connection was lost.
        """
        try:
            return self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:  # such as processes that cannot be started any more
            raise NodeLostError(one_line(error.cause)[:200]) from None
        except self._ray.exceptions.RayError as error:
            raise NodeLostError(one_line(error).partition(". ")[0][:200]) from None

    def kill(self, actor: Actor) -> None:
        """End an actor; its processes end with it."""
        with contextlib.suppress(Exception):  # it has ended
            self._ray.kill(actor)

    def close(self) -> None:
        """End all actors of this run, and the cluster if it was started for it."""
        with _own_signals():
            self._ray.shutdown()


def require_cluster(address: str | None) -> Any:
    """Check that ray is installed and that something listens at an address; returns the module.

    Raises:
        UserError: it is not, or nothing does.
    """
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UserError(f"the executor ray cannot be used: {one_line(error)}", INSTALL_HINT) from None
    if address not in (None, "auto", "local"):
        _require_answer(str(address))
    return ray


def _silent(*arguments: object, **options: object) -> None:
    """Print nothing."""


def _connect(ray: Any, settings: ExecutorSettings) -> None:
    """Connect to the cluster of the address, or to that of this machine; else start one.

    Raises:
        HarnessError: it does not answer, or is of other versions.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that is started here
    options = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": f"harness-{os.getpid()}"}
    try:
        if settings.address != "local":
            try:
                ray.init(settings.address or "auto", **options)
                return
            except ConnectionError:
                if settings.address:
                    raise
        ray.init("local", num_cpus=settings.workers, include_dashboard=False, **options)
    except Exception as error:  # of any kind, by what is wrong
        where = f"the Ray cluster {settings.address}" if settings.address else "a Ray cluster"
        hint = "use the same versions of Python and Ray everywhere" if "ersion mismatch" in str(error) else _RAY_HINT
        raise HarnessError(f"{where} cannot be used: {one_line(error)[:300]}", hint) from error


_RAY_HINT = "`ray status --address HOST:PORT` shows whether it runs"


def _require_answer(address: str) -> None:
    """Check that something listens at HOST:PORT; Ray itself tries for minutes.

    Raises:
        UserError: nothing does, or the address has another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"--ray-address {address!r} is not HOST:PORT", "`ray start --head` prints it; its port is 6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"the Ray cluster {address} does not answer: {reason}", _RAY_HINT) from None


@contextlib.contextmanager
def _one_attempt() -> Iterator[None]:
    """Let Ray give up what listens but is no cluster after one attempt, and not after minutes."""
    name = "RAY_gcs_server_port_wait_time_s"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put back what Ray sets: it would end this process at SIGTERM without a word about finished results."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # another thread than the main one: Ray set nothing
            signal.signal(signal.SIGTERM, before)
