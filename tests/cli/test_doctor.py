"""``harness doctor`` says which sandbox the machine gives."""

from __future__ import annotations

import pytest

from harness.cli import doctor
from harness.errors import StorageError
from harness.execution import landlock, sandbox_trial


@pytest.mark.skipif(not landlock.has_scopes(), reason="needs Landlock of Linux 6.12 or newer")
def test_sandbox_of_this_machine_is_tried() -> None:
    default, strict = doctor._sandboxes()
    assert default == ("sandbox of plugins", "landlock: no labels, no results, no signals to others", "", True)
    assert strict[0] == "sandbox with --isolate"


@pytest.mark.parametrize(
    ("isolation", "state", "hints"),
    [
        (
            "landlock+ns+seccomp+cgroup",
            "landlock+ns+seccomp+cgroup: no network, writes in its own folder alone",
            [],
        ),
        ("landlock+ns+seccomp", "partly: landlock+ns+seccomp", ["systemd-run --user --scope"]),
        ("landlock+seccomp+cgroup", "partly: landlock+seccomp+cgroup", ["user namespaces"]),
        (
            "landlock-files+ns-without-mounts+seccomp",
            "partly: landlock-files+ns-without-mounts+seccomp",
            ["6.12", "shm"],
        ),
        ("process", "none", ["Landlock", "user namespaces", "x86-64", "cgroup v2"]),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, isolation: str, state: str, hints: list[str]
) -> None:
    monkeypatch.setattr(sandbox_trial, "isolation", lambda strict: isolation)
    _, (_, found, hint, ok) = doctor._sandboxes()
    assert (found, ok) == (state, True)
    assert all(part in hint for part in hints)
    assert bool(hint) == bool(hints)


def test_processes_that_cannot_be_started_are_an_error_with_its_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(strict: bool) -> str:
        raise StorageError("processes cannot be started: no memory", "use fewer --workers")

    monkeypatch.setattr(sandbox_trial, "isolation", refuse)
    assert doctor._sandboxes()[0] == (
        "sandbox of plugins",
        "processes cannot be started: no memory",
        "use fewer --workers",
        False,
    )
