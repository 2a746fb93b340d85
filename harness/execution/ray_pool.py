"""Worker processes of all nodes of a cluster, as one pool: nodes may join and be lost at any time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import cloudpickle

from harness.errors import StorageError
from harness.execution.jobs import JobFailure, JobResult
from harness.execution.node_agent import NodeSetup, Refusal

LOOK_SECONDS = 5.0
"""Time between two looks at the nodes of a cluster."""

WORK_SECONDS = 5.0
"""An actor answers within this time, also if no job ended."""

SILENT_SECONDS = 120.0
"""An actor that has not answered for so long is given up, with its jobs."""

START_SECONDS = 600.0
"""Starting and opening an actor may take so long: torch is imported, perhaps from a slow disk."""

NO_NODE_SECONDS = 180.0
"""A run ends if for so long no node can take a job."""

FAILED_STARTS = 3
"""After so many actors that ended before they were open, a node is not used any more."""

Actor = Any
"""A handle of a ``NodeAgent``."""


class NodeLostError(Exception):
    """Raised where an actor does not answer any more; the text says why."""


class ClusterNode(NamedTuple):
    """A node that is alive: its id, its name for people, and the CPUs and GPUs that are free."""

    id: str
    name: str
    cpus: int
    gpus: int


class Cluster(Protocol):
    """What a pool needs of an engine."""

    def nodes(self) -> list[ClusterNode]:
        """The nodes that are alive."""
        ...

    def start(self, node: ClusterNode, gpus: bool) -> Actor:
        """Start an actor on a node."""
        ...

    def wait(self, calls: Sequence[Any], seconds: float) -> list[Any]:
        """Those of some calls that have returned."""
        ...

    def get(self, call: Any) -> Any:
        """What a call returned; raises NodeLostError."""
        ...

    def kill(self, actor: Actor) -> None:
        """End an actor."""
        ...


@dataclass
class _Agent:
    """An actor and what it does."""

    node: ClusterNode
    actor: Actor
    slots: int
    call: Any
    is_open: bool = False
    since: float = field(default_factory=time.monotonic)
    running: set[int] = field(default_factory=set)

    def work(self) -> None:
        self.call, self.since = self.actor.work.remote(WORK_SECONDS), time.monotonic()


class RayPool:
    """The worker processes of a cluster's nodes.

    Args:
        cluster: the engine.
        setup: what a node is set up with; None if it has nothing to compute on.
        note: shows a sentence to the user.
    """

    def __init__(
        self,
        cluster: Cluster,
        setup: Callable[[ClusterNode], NodeSetup | None],
        note: Callable[[str], None],
    ) -> None:
        self._cluster, self._setup, self._note = cluster, setup, note
        self._agents: dict[str, _Agent] = {}
        self._failed_starts = Counter[str]()
        self._refused: dict[str, tuple[str, Refusal]] = {}
        self._next_look = 0.0
        self._usable = time.monotonic()

    @property
    def slots(self) -> int:
        """The number of processes of all nodes that are ready."""
        return sum(agent.slots for agent in self._agents.values() if agent.is_open)

    def take(self, number: int, job: bytes, group: str) -> None:
        """Give a job to the node with the most free processes."""
        free = [agent for agent in self._agents.values() if agent.is_open]
        agent = max(free, key=lambda agent: agent.slots - len(agent.running))
        agent.running.add(number)
        agent.actor.put.remote(number, job, group)
        if agent.call is None:
            agent.work()

    def finished(self) -> list[JobResult]:
        """The jobs that ended, those of lost nodes among them.

        Raises:
            StorageError: no node can take jobs any more.
        """
        self._look_for_nodes()
        calls = {agent.call: agent for agent in self._agents.values() if agent.call is not None}
        returned = self._cluster.wait(list(calls), 1.0) if calls else []
        if not calls:
            time.sleep(0.2)
        results = [result for call in returned for result in self._answered(calls[call])]
        for agent in list(self._agents.values()):
            most = SILENT_SECONDS if agent.is_open else START_SECONDS
            if agent.call is not None and time.monotonic() - agent.since > most:
                results += self._lose(agent, f"did not answer for {most:.0f} seconds")
        self._require_nodes()
        return results

    def _look_for_nodes(self) -> None:
        """Start an actor on every node that has none."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        for node in self._cluster.nodes():
            setup = None if node.id in self._agents or node.id in self._refused else self._setup(node)
            if setup is not None:
                actor = self._cluster.start(node, gpus=setup.limits.devices[0] != "cpu")
                call = actor.open.remote(cloudpickle.dumps(setup))
                self._agents[node.id] = _Agent(node, actor, setup.limits.workers, call)

    def _answered(self, agent: _Agent) -> list[JobResult]:
        """What a call of an actor brings."""
        try:
            answer = self._cluster.get(agent.call)
        except NodeLostError as lost:
            return self._lose(agent, f"was lost: {lost}")
        if not agent.is_open:
            agent.is_open, agent.call = answer is None, None
            if isinstance(answer, Refusal):
                self._refuse(agent, answer)
            return []
        results = [replace(result, place=" ".join([agent.node.name, result.place]).strip()) for result in answer]
        agent.running -= {result.number for result in results}
        agent.call = None
        if agent.running:
            agent.work()
        return results

    def _lose(self, agent: _Agent, reason: str) -> list[JobResult]:
        """Give up an actor; its jobs come back as lost."""
        del self._agents[agent.node.id]
        self._cluster.kill(agent.actor)
        self._next_look = 0.0
        if not agent.is_open:
            self._failed_starts[agent.node.id] += 1
            if self._failed_starts[agent.node.id] >= FAILED_STARTS:
                self._refused[agent.node.id] = agent.node.name, Refusal(reason, "look at Ray's logs on that node")
            return []
        self._note(f"node {agent.node.name} {reason}; what it ran is run again")
        failure = JobFailure("lost", f"its node {agent.node.name} {reason}")
        return [JobResult(number, failure, place=agent.node.name) for number in sorted(agent.running)]

    def _refuse(self, agent: _Agent, refusal: Refusal) -> None:
        """Use a node no more that cannot run the jobs."""
        del self._agents[agent.node.id]
        self._cluster.kill(agent.actor)
        self._refused[agent.node.id] = agent.node.name, refusal
        self._note(f"node {agent.node.name} is not used: {refusal.reason}")

    def _require_nodes(self) -> None:
        """Check that some node can take jobs, now or soon.

        Raises:
            StorageError: none can.
        """
        now = time.monotonic()
        if self.slots:
            self._usable = now
        if not self._agents and self._refused:
            name, refusal = next(iter(self._refused.values()))
            raise StorageError(f"no node of the cluster can be used; {name}: {refusal.reason}", refusal.hint)
        if not self._agents and now - self._usable > NO_NODE_SECONDS:
            hint = "`ray status` shows what is free; finished results are saved, and the same command continues"
            raise StorageError(f"no node of the cluster was free for {NO_NODE_SECONDS:.0f} seconds", hint)

    def end(self) -> None:
        """End all actors with their processes."""
        for agent in self._agents.values():
            self._cluster.kill(agent.actor)
        self._agents = {}
