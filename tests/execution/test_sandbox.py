"""Hostile code in a sandbox reaches neither hidden files nor other processes, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import psutil
import pytest
import sandbox_jobs as work
from control_groups import cgroups_allowed

from harness.execution import fork_server, landlock, linux, namespaces, process_tree
from harness.execution.cgroups import CGROUP
from harness.execution.executors import isolated, processes
from harness.execution.jobs import JobFailure, JobResult, Limits
from harness.execution.reachable import entries
from harness.execution.sandbox import Sandbox

KERNEL = linux.release() if linux.is_linux() else (0, 0)
GROUP = f"+{CGROUP}" if cgroups_allowed() else ""
SECRET = "label of image 7"


def _allows_namespaces() -> bool:
    """Whether a process of this machine can enter new namespaces."""
    code = "import sys; from harness.execution import namespaces as n; sys.exit(not n.unshare())"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not landlock.has_scopes(), reason="needs Landlock of Linux 6.12 or newer"),
]
needs_namespaces = pytest.mark.skipif(
    landlock.has_scopes() and not _allows_namespaces(), reason="this machine allows no user namespaces"
)
MODES = [False, pytest.param(True, marks=needs_namespaces)]


@pytest.fixture(autouse=True, scope="module")
def server() -> None:
    fork_server.start_server(())


@dataclass
class Place:
    """A hidden folder with a secret, a file in it that can be read, and files beside it."""

    root: Path

    @property
    def secret(self) -> Path:
        return self.root / "hidden" / "secret"

    def sandbox(self, strict: bool) -> Sandbox:
        return Sandbox((self.root / "hidden",), (self.root / "hidden" / "weights",), strict)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "secret").write_text(SECRET)
    (tmp_path / "hidden" / "weights").write_text("weights")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "file").write_text("beside")
    (tmp_path / "link").symlink_to(tmp_path / "hidden")
    return Place(tmp_path)


def attack(sandbox: Sandbox, *jobs: Any, **limits: Any) -> list[Any]:
    """What each job returned, or why it failed."""
    found = sorted(isolated(jobs, work.make, Limits(2, 30, sandbox=sandbox, **limits)), key=lambda found: found.number)
    return [value.decode() if isinstance(value := result.value, bytes) else value for result in found]


def left() -> list[int]:
    """The processes that attacks left."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if work.MARK in (process.info["cmdline"] or ())]


# -- what is in force --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sandbox", "isolation"),
    [
        (None, "process"),
        (Sandbox(), "landlock"),
        pytest.param(Sandbox(strict=True), f"landlock+ns+seccomp{GROUP}", marks=needs_namespaces),
    ],
)
def test_result_says_what_was_in_force(sandbox: Sandbox | None, isolation: str) -> None:
    for executor in (processes, isolated):
        assert list(executor([("exit", 3)], work.make, Limits(sandbox=sandbox))) == [
            JobResult(0, JobFailure("ended", "ended its process with exit code 3"), isolation=isolation)
        ]


@pytest.mark.parametrize("strict", MODES)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
def test_signal_that_ended_a_job_is_known(strict: bool, number: signal.Signals) -> None:
    (found,) = attack(Sandbox(strict=strict), ("die", number))
    assert found.reason.startswith(f"was killed by {number.name}")


@pytest.mark.parametrize("strict", MODES)
def test_honest_code_works(place: Place, strict: bool) -> None:
    assert attack(place.sandbox(strict), ("work normally", place.root / "beside")) == ["True True True"]


def test_modules_beside_a_hidden_folder_can_be_imported(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.root / "a_plugin.py").write_text("import a_plugin_part")
    (place.root / "a_plugin_part.py").write_text("")
    monkeypatch.syspath_prepend(place.root)
    assert attack(place.sandbox(False), ("import", "a_plugin")) == ["a_plugin"]
    assert attack(place.sandbox(True), ("import", "a_plugin")) == ["a_plugin"]


@pytest.mark.parametrize("strict", MODES)
def test_temporary_folder_is_new_and_removed(strict: bool) -> None:
    first, second = attack(Sandbox(strict=strict), ("folder",), ("folder",))
    assert first != second
    assert not Path(first).exists()
    assert not Path(second).exists()


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", MODES)
def test_hidden_file_cannot_be_read_in_any_way(place: Place, strict: bool) -> None:
    secret = place.secret
    found = attack(
        place.sandbox(strict),
        ("read", secret),
        ("read", place.root / "link" / "secret"),
        ("read", Path(f"/proc/self/root{secret}")),
        ("read", Path(f"/proc/{os.getpid()}/root{secret}")),
        ("read by symbolic link", secret),
        ("read by hard link", secret),
        ("read by open folder", secret),
        ("read disk",),
        ("list", secret.parent),
    )
    refused = {"PermissionError", "OSError", "FileNotFoundError", "no open folder", "no disk"}
    assert set(found) <= refused, found


@pytest.mark.parametrize("strict", MODES)
def test_readable_file_in_a_hidden_folder_can_be_read_and_not_written(place: Place, strict: bool) -> None:
    weights = place.root / "hidden" / "weights"
    assert attack(place.sandbox(strict), ("read", weights), ("write", weights)) == ["weights", "PermissionError"]


@pytest.mark.parametrize("strict", MODES)
def test_files_of_an_unlisted_folder_are_read_by_name_and_not_found(place: Place, strict: bool) -> None:
    folder = place.root / "hidden" / "inputs"
    folder.mkdir()
    (folder / "name").write_text("input")
    sandbox = Sandbox((place.root / "hidden",), (), strict, (folder,))
    jobs = [("read", folder / "name"), ("list", folder), ("write", folder / "name"), ("write", folder / "new")]
    assert attack(sandbox, *jobs) == ["input", *["PermissionError"] * 3]


def test_hidden_folder_that_does_not_exist_yet_is_hidden(tmp_path: Path) -> None:
    sandbox = Sandbox((tmp_path / "results" / "labels",))
    assert attack(sandbox, ("write", tmp_path / "results"), ("list", tmp_path)) == ["PermissionError"] * 2


def test_other_files_can_be_used_but_packages_not_changed(place: Place) -> None:
    beside, package = place.root / "beside" / "file", Path(landlock.__file__)
    assert attack(place.sandbox(False), ("read", beside)) == ["beside"]
    found = attack(place.sandbox(False), ("write", beside), ("write", package.with_name("new.py")))
    assert found == ["written", "PermissionError"]


@needs_namespaces
def test_strict_sandbox_reads_and_writes_nothing_else(place: Place) -> None:
    beside, common = place.root / "beside", Path(tempfile.gettempdir())
    jobs = [("read", beside / "file"), ("write", beside / "new"), ("write", common / "new")]
    found = attack(place.sandbox(True), *jobs)
    assert found == ["PermissionError"] * 3


def test_folder_open_in_the_fork_server_leads_nowhere(place: Place, tmp_path: Path) -> None:
    (tmp_path / "opens.py").write_text(f"import os\nos.set_inheritable(os.open({str(place.secret.parent)!r}, 0), True)")
    (tmp_path / "script.py").write_text(
        "import sandbox_jobs as work\nfrom pathlib import Path\nfrom harness.execution import fork_server\n"
        "from harness.execution.executors import isolated\nfrom harness.execution.jobs import Limits\n"
        "from harness.execution.sandbox import Sandbox\nfork_server.start_server(['opens'])\n"
        f"hidden = Path({str(place.secret.parent)!r})\n"
        "for sandbox in (None, Sandbox((hidden,))):\n"
        "    (found,) = isolated([('read by open folder', hidden / 'secret')], work.make, Limits(sandbox=sandbox))\n"
        "    print(found.value.decode())\n"
    )
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))
    ran = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [SECRET, "no open folder"]  # the attack works without a sandbox


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", MODES)
def test_other_processes_are_out_of_reach(strict: bool) -> None:
    pid = os.getpid()
    jobs = [("peek", pid), ("peek at guardian",), ("trace", pid), ("kill", pid), ("kill guardian",)]
    assert set(attack(Sandbox(strict=strict), *jobs)) <= {"PermissionError", "ProcessLookupError", "FileNotFoundError"}


@needs_namespaces
def test_strict_sandbox_sees_no_other_processes() -> None:
    assert attack(Sandbox(strict=True), ("processes",)) == ["2"]  # the job and the first process


@pytest.mark.parametrize("strict", MODES)
def test_fork_server_starts_no_process_for_hostile_code(strict: bool) -> None:
    assert attack(Sandbox(strict=strict), ("ask fork server", get_temp_dir())) == ["refused"]


@pytest.mark.parametrize("strict", MODES)
def test_daemon_ends_with_its_job(strict: bool) -> None:
    assert attack(Sandbox(strict=strict), ("leave daemon",)) == ["left"]
    assert left() == []


@pytest.mark.parametrize("strict", MODES)
def test_daemons_end_and_files_are_removed_when_the_harness_is_killed(tmp_path: Path, strict: bool) -> None:
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\nimport sandbox_jobs as work\n"
        "from harness.execution import fork_server\nfrom harness.execution.executors import processes\n"
        "from harness.execution.jobs import Limits\nfrom harness.execution.sandbox import Sandbox\n"
        "fork_server.start_server([])\n"
        "jobs = [('folder',), ('leave daemon',), ('wait',)]\n"
        f"for result in processes(jobs, work.make, Limits(sandbox=Sandbox(strict={strict}))):\n"
        "    print(result.value.decode(), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, text=True) as run:
        assert run.stdout is not None
        folder, answer = Path(run.stdout.readline().strip()), run.stdout.readline()
        assert (folder.is_dir(), answer) == (True, "left\n")
        assert left() != []
        run.kill()
    deadline = time.monotonic() + 20
    while (left() or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (left(), folder.exists()) == ([], False)


@needs_namespaces
@pytest.mark.skipif(KERNEL < (6, 14), reason="needs Linux 6.14 or newer")
def test_fork_bomb_is_a_failure_and_ends() -> None:
    before = len(psutil.pids())
    (found,) = attack(Sandbox(strict=True), ("bomb",), processes=50)
    assert found == JobFailure("processes", "had more than 50 processes")
    assert len(psutil.pids()) < before + 50


def test_processes_of_a_user_are_limited() -> None:
    """For root, as another user: the kernel limits no processes of root."""
    child = os.fork()
    if not child:
        if not os.getuid():
            os.setuid(65534)
        process_tree.limit_tasks(5, counted=True)
        os._exit(_forks(20))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (4, 5)


def _forks(number: int) -> int:
    """Start processes until that fails; returns how many."""
    for count in range(number):
        try:
            child = os.fork()
        except BlockingIOError:
            return count
        if not child:
            time.sleep(2)
            os._exit(0)
    return number


# -- network and memory ------------------------------------------------------------------------------------------------


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Any]]:
    """The addresses of two servers of this process: in the network, and in a folder."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        yield [one.getsockname(), str(tmp_path / "s")]


@needs_namespaces
def test_strict_sandbox_has_no_network_and_no_local_servers(servers: list[Any]) -> None:
    assert attack(Sandbox(), *(("connect", address) for address in servers)) == ["connected"] * 2
    jobs = [*(("connect", address) for address in servers), ("send udp", ("127.0.0.1", 9))]
    assert attack(Sandbox(strict=True), *jobs) == ["PermissionError"] * 3


@needs_namespaces
def test_files_in_shared_memory_count() -> None:
    (found,) = attack(Sandbox(strict=True), ("fill shared memory", 2**29), memory=2**28)
    assert found in (JobFailure("memory", "used more than 0.25 GiB of memory"), "OSError")  # or there is no room
    assert not Path("/dev/shm/filled").exists()


@pytest.mark.parametrize("strict", MODES)
def test_memory_that_processes_share_counts_once(strict: bool) -> None:
    assert attack(Sandbox(strict=strict), ("share memory", 2**28, 8), memory=3 * 2**28) == ["0"]


def test_memory_is_measured_exactly_only_where_the_quick_bound_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = list[int]()
    monkeypatch.setattr(process_tree, "_proportional", lambda pid: (measured.append(pid), (2**20, 0))[1])
    assert not process_tree.uses_more_than(2**50, [os.getpid()])
    assert measured == []
    assert not process_tree.uses_more_than(2**21, [os.getpid()])
    assert measured == [os.getpid()]


# -- rules -------------------------------------------------------------------------------------------------------------


def test_entries_leave_out_what_is_apart_and_links(place: Place) -> None:
    root = str(place.root)
    assert set(entries(root, [f"{root}/hidden/secret"])) == {f"{root}/hidden/weights", f"{root}/beside"}
    assert list(entries(root, [f"{root}-2"])) == [root]
    assert list(entries(root, [root])) == []
    assert list(entries(f"{root}/beside/file", [root])) == []


@pytest.mark.parametrize(("release", "limited"), [((6, 1), False), ((6, 13), False), ((6, 14), True)])
def test_processes_of_the_whole_machine_are_never_limited(
    monkeypatch: pytest.MonkeyPatch, release: tuple[int, ...], limited: bool
) -> None:
    """Before Linux 6.14 a namespace has no limit of its own: root would set that of the machine."""
    written = list[str]()
    monkeypatch.setattr(namespaces.linux, "call", lambda *arguments: 0)
    monkeypatch.setattr(namespaces.linux, "release", lambda: release)
    monkeypatch.setattr(Path, "write_text", lambda path, text: written.append(f"{path} {text}"))
    assert namespaces.mount_private(2**20, 1000)
    assert written == ["/proc/sys/kernel/pid_max 1000"] * limited


def test_namespaces_are_refused_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *arguments: Any) -> int:
        raise PermissionError(1, name)

    monkeypatch.setattr(namespaces.linux, "call", refuse)
    assert not namespaces.unshare()
    assert not namespaces.mount_private(2**20, 100)
    assert landlock.version() == 0
    assert not landlock.restrict_files([], tcp=True)
