"""Control groups limit a worker with all that it starts, where this user may make some."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import sandbox_jobs as work
from control_groups import cgroups_allowed

from harness.execution import cgroups, fork_server
from harness.execution.cgroups import make_group
from harness.execution.executors import isolated
from harness.execution.jobs import JobFailure, Limits
from harness.execution.sandbox import Sandbox

needs_groups = pytest.mark.skipif(not cgroups_allowed(), reason="needs cgroup v2, delegated with memory and pids")


def groups() -> list[Path]:
    return [folder for parent in cgroups._parents() for folder in parent.glob(f"{cgroups._PREFIX}{os.getpid()}-*")]


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the file system of groups, with this process in the group ``user/shell``."""
    (tmp_path / "user" / "shell").mkdir(parents=True)
    (tmp_path / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n")
    (tmp_path / "own").write_text("8:pids:/v1\n0::/user/shell\n")
    monkeypatch.setattr(cgroups, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(cgroups, "_OWN", tmp_path / "own")
    return tmp_path


def test_a_group_gets_the_limits(hierarchy: Path) -> None:
    group = make_group(2.5 * 2**30, 100)
    assert group is not None
    assert group.folder.parent == hierarchy / "user" / "shell"
    assert group.join()
    found = {file.name: file.read_text() for file in group.folder.iterdir()}
    assert found == {
        "memory.max": "2684354560",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "100",
        "cgroup.procs": "0",
    }
    unlimited = make_group(math.inf, math.inf)
    assert unlimited is not None
    assert {(unlimited.folder / name).read_text() for name in ("memory.max", "pids.max")} == {"max"}


def test_the_group_around_the_own_one_is_used_where_the_own_one_has_no_controllers(
    hierarchy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = cgroups._limit
    monkeypatch.setattr(cgroups, "_limit", lambda group, *limits: group.parent.name == "user" and limit(group, *limits))
    group = make_group(math.inf, 10)
    assert group is not None
    assert group.folder.parent == hierarchy / "user"
    assert [path.name for path in (hierarchy / "user" / "shell").iterdir()] == ["cgroup.subtree_control"]


def test_events_of_the_kernel_say_that_memory_ran_out(hierarchy: Path) -> None:
    group = make_group(2**20, 10)
    assert group is not None
    assert not group.ran_out_of_memory()
    for count, ran_out in (("0", False), ("1", True)):
        (group.folder / "memory.events").write_text(f"low 0\nmax 20\noom 1\noom_kill {count}\n")
        assert group.ran_out_of_memory() == ran_out


def test_groups_of_runs_that_were_killed_are_removed(hierarchy: Path) -> None:
    ended, running, other = "laion-beyond-999999999-a", f"laion-beyond-{os.getpid()}-b", "laion-beyond-web.service"
    for name in (ended, running, other):
        (hierarchy / "user" / "shell" / name).mkdir()
    assert make_group(math.inf, math.inf) is not None
    left = {path.name for path in (hierarchy / "user" / "shell").iterdir()}
    assert (ended in left, running in left, other in left) == (False, True, True)


def test_machine_without_groups_gives_none_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = groups()
    if (group := make_group(math.inf, math.inf)) is not None:
        group.remove()
    assert groups() == before
    monkeypatch.setattr(cgroups, "_MOUNTS", tmp_path / "nowhere")
    assert make_group(math.inf, math.inf) is None


# -- with the kernel's own groups --------------------------------------------------------------------------------------


def attack(*job: Any, **limits: Any) -> bytes | JobFailure:
    """What a job in a group returned, or why it failed; nothing of it is left."""
    fork_server.start_server(())
    (found,) = isolated([job], work.make, Limits(1, 60, sandbox=Sandbox(strict=True), **limits))
    assert found.isolation.endswith(cgroups.CGROUP)
    assert groups() == []
    assert [p for p in psutil.process_iter(["cmdline"]) if work.MARK in (p.info["cmdline"] or ())] == []
    return found.value


@needs_groups
@pytest.mark.slow
@pytest.mark.parametrize("how", ["eat", "eat in a daemon", "fill shared memory"])
def test_kernel_ends_a_job_that_uses_too_much_memory(how: str) -> None:
    assert attack(how, 2**28, memory=2**27) == JobFailure("memory", "used more than 0.125 GiB of memory")


@needs_groups
@pytest.mark.slow
def test_job_within_its_limits_is_not_disturbed() -> None:
    assert attack("share memory", 2**26, 4, memory=2**28, processes=50) == b"0"
    assert attack("leave daemon", memory=2**28) == b"left"


@needs_groups
@pytest.mark.slow
def test_fork_bomb_in_a_group_is_a_failure_and_ends() -> None:
    before = len(psutil.pids())
    assert attack("bomb", processes=20) == JobFailure("processes", "had more than 20 processes")
    assert len(psutil.pids()) < before + 20
