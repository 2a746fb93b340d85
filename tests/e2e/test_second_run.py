"""What commands do not import: neither torch nor a method where all cells are known."""

from __future__ import annotations

import subprocess
import sys

from harness.runner import encode_jobs

HEAVY = ("torch", "open_clip", "scipy", "sklearn", "psutil", "harness.execution.worker_process")
HEAVY += ("harness_plugins.zero_shot",)


def test_second_run_imports_no_torch(harness, world, cache, tmp_path):
    words = ["evaluate", "--plugin", "zero_shot", "--domain", "Animals", "--data", str(world), "--cache", str(cache)]
    words += ["--out", str(tmp_path / "results"), "--json", "--workers", "1", "--backbone", "beyond-mini"]
    assert harness(*words).code == 0
    before = (tmp_path / "results" / "leaderboard.json").read_bytes()
    code = (
        "import sys; from harness.cli.main import execute; code = execute(sys.argv[1:]);"
        f"print(code, *sorted({{*{HEAVY!r}}} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *words]
    # Elsewhere, because Python would import the sources of the folder that it starts in, without the compiled module.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert (tmp_path / "results" / "leaderboard.json").read_bytes() == before


def test_doctor_imports_no_scikit_learn_and_the_checks_of_methods_no_pytest(cache):
    code = (
        "import sys; from harness.cli.main import execute; code = execute(sys.argv[1:]);"
        "found = 'sklearn' in sys.modules; import harness.conformance; print(code, found, 'pytest' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "doctor", "--json", "--cache", str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False False"


def test_encoding_in_processes_gives_the_same_results(harness, world, tmp_path, monkeypatch):
    """The second time in an empty cache, where processes encode all but the first images."""
    words = ["evaluate", "--plugin", "zero_shot", "--domain", "Animals", "--data", world, "--workers", "2"]
    words += ["--backbone", "beyond-mini", "--json"]
    threads = harness(*words, "--cache", tmp_path / "one", "--out", tmp_path / "threads")
    used = []
    real = encode_jobs.encode_with
    monkeypatch.setattr(encode_jobs, "encode_with", lambda *given: used.append(given) or real(*given))
    for name, value in {"CPU_THREADS": 1, "CHUNK": 4, "LONG_SECONDS": 0}.items():
        monkeypatch.setattr(encode_jobs, name, value)
    processes = harness(*words, "--cache", tmp_path / "two", "--out", tmp_path / "processes")
    assert used
    assert (threads.code, threads.out) == (processes.code, processes.out)
