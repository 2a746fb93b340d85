"""scripts/gpu_check: commands that hang, fail or are killed lose no figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.cli.main import execute
from harness.feature_cache.image_encoder import ImageSource

from ..datasets.roots import make_root
from ..device.fake_cuda import fake_cuda
from ..feature_cache.test_encode import backbone

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="needs the source tree")

DOUBLES = """
import sys
sys.path.insert(0, {scripts!r})
from gpu_check import command, figures, report, runner, steps
from gpu_check.figures import Found
def step(name, code, limit=30, group="g", read=figures.said, **more):
    commands = lambda c: [[sys.executable, "-c", code]]
    return steps.Step(name, group, limit, name, commands, lambda c, output: read(output), **more)
command.STEPS = [{steps}]
command.BENCHMARKS = command.Path({benchmarks!r})
command.GROUPS = tuple(dict.fromkeys(s.group for s in command.STEPS))
sys.exit(command.main(sys.argv[1:]))
"""
"""The driver with other steps."""


class Check:
    """Runs the driver with steps of the test, on a machine with a simulated ``nvidia-smi``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.benchmarks = folder, folder / "out", folder / "benchmarks"
        smi = folder / "bin" / "nvidia-smi"
        smi.parent.mkdir()
        smi.write_text("#!/bin/sh\necho 'Simulated GPU'\n")
        smi.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{smi.parent}{os.pathsep}{os.environ['PATH']}"}

    def start(self, *steps: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        code = DOUBLES.format(scripts=str(SCRIPTS), steps=", ".join(steps), benchmarks=str(self.benchmarks))
        return subprocess.Popen(
            [sys.executable, "-c", code, "--installed", "--out", str(self.out), *options],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *steps: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        process = self.start(*steps, options=options)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def record(self) -> dict[str, Any]:
        first, second = ((folder / "gpu_Simulated_GPU.json").read_text() for folder in (self.out, self.benchmarks))
        assert first == second
        return json.loads(first)

    def steps(self) -> dict[str, Any]:
        return {step["name"]: step for step in self.record()["steps"]}


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of scripts/gpu_check can be imported."""
    monkeypatch.syspath_prepend(SCRIPTS)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "gpu_check"]:
        del sys.modules[name]


def wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


FAMILY = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"])
path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else {file!r})
path.with_suffix(".partial").write_text(f"{{os.getpid()}} {{child.pid}}")
path.with_suffix(".partial").rename(path)
time.sleep(600)
"""
"""A program that does not listen to SIGTERM, with a child."""


def family(file: Path) -> str:
    return FAMILY.format(file=str(file))


def pids(file: Path) -> list[int]:
    wait_for(file.is_file)
    return [int(pid) for pid in file.read_text().split()]


def test_exit_status_and_figures_of_every_step(check: Check) -> None:
    code, said = check.run("step('one', 'print(1); print(23)')", "step('two', 'print(4)', group='other')")
    assert code == 0
    (summary,) = [words for line in said.splitlines() if (words := line.split())[:2] == ["g", "passed"]]
    assert summary[2::2] == ["in", "s:"]
    assert summary[-1] == "23"
    record = check.record()
    assert (record["state"], record["gpu"]) == ("finished", "Simulated GPU")
    assert [(s["name"], s["status"], s["exit"], s["line"]) for s in record["steps"]] == [
        ("one", "passed", 0, "23"),
        ("two", "passed", 0, "4"),
    ]
    assert record["steps"][0]["commands"] == ["python -c 'print(1); print(23)'"]
    assert "tail" not in record["steps"][0]


def test_a_step_that_fails_leaves_its_output_and_the_next_runs(check: Check) -> None:
    code, _ = check.run("step('bad', 'print(5); raise SystemExit(7)')", "step('good', 'print(6)')")
    assert code == 1
    steps = check.steps()
    assert (steps["bad"]["status"], steps["bad"]["exit"]) == ("failed", 7)
    assert steps["bad"]["tail"].endswith("\n5\n")
    assert steps["good"]["status"] == "passed"


def test_a_command_that_is_not_there_is_a_failed_step(check: Check) -> None:
    missing = "steps.Step('gone', 'g', 9, '', lambda c: [['no-such-program']], lambda c, o: figures.said(o))"
    assert check.run(missing)[0] == 1
    assert "no-such-program cannot be started" in check.steps()["gone"]["line"]


def test_tests_that_were_all_skipped_are_a_failure(check: Check) -> None:
    line = "print('====== 3 skipped, 4 deselected in 0.10s ======')"
    assert check.run(f"step('none', {line!r}, read=figures.tests)")[0] == 1
    assert check.steps()["none"]["line"] == "no test passed (3 skipped, 4 deselected)"


def test_a_step_at_its_limit_ends_with_all_that_it_started(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    code, _ = check.run(f"step('hangs', {family(file)!r}, limit=2)", "step('next', 'print(1)')")
    assert code == 1
    steps = check.steps()
    assert (steps["hangs"]["status"], steps["hangs"]["exit"]) == ("timed out", None)
    assert steps["next"]["status"] == "passed"
    assert not any(alive(pid) for pid in pids(file))


def test_steps_after_a_hung_dependency_are_skipped(check: Check) -> None:
    hung = "step('kernels', 'import time; time.sleep(60)', limit=1, group='kernels')"
    assert check.run(hung, "step('speed', 'print(1)', unless_hung='kernels')", "step('other', 'print(1)')")[0] == 1
    steps = check.steps()
    assert (steps["speed"]["status"], steps["speed"]["line"]) == ("not run", "kernels reached their limit")
    assert steps["other"]["status"] == "passed"


def test_the_whole_ends_within_its_time(check: Check) -> None:
    steps = ["step('first', 'import time; time.sleep(60)')", "step('second', 'print(1)')"]
    begin = time.monotonic()
    assert check.run(*steps, options=("--seconds", "12"))[0] == 1
    assert time.monotonic() - begin < 30
    assert [step["status"] for step in check.record()["steps"]] == ["timed out", "not run"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_running_step_and_prints_the_summary(
    number: signal.Signals, check: Check, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    process = check.start("step('one', 'print(1)')", f"step('two', {family(file)!r})", "step('three', 'print(3)')")
    started = pids(file)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert not any(alive(pid) for pid in started)
    assert check.record()["state"] == f"stopped by {number.name}"
    assert [step["status"] for step in check.record()["steps"]] == ["passed", "stopped", "not run"]
    assert "one passed" in said.splitlines()[-1]
    assert "two stopped" in said.splitlines()[-1]


def test_figures_survive_sigkill(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    process = check.start("step('one', 'print(1)')", f"step('two', {family(file)!r})")
    started = pids(file)
    process.kill()
    process.communicate(timeout=30)
    for pid in started:
        os.kill(pid, signal.SIGKILL)
    assert check.record()["state"] == "running two"
    assert [(step["name"], step["status"]) for step in check.record()["steps"]] == [("one", "passed")]
    assert "child" in (check.out / "gpu_check.log").read_text()


def test_single_step_keeps_earlier_figures(check: Check) -> None:
    two = ["step('one', 'print(1)')", "step('two', 'raise SystemExit(1)')"]
    assert check.run(*two)[0] == 1
    before = check.steps()["one"]
    assert check.run(two[0], "step('two', 'print(2)')", options=("--only", "two"))[0] == 0
    assert check.steps()["one"] == before
    assert check.steps()["two"]["line"] == "2"


# -- the script itself -------------------------------------------------------------------------------------------------


def call(*options: str, python: tuple[str, ...] = (sys.executable,), **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more}
    command = [*python, str(SCRIPTS / "gpu_check"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_driver_needs_the_standard_library_only() -> None:
    done = call("--list", python=(sys.executable, "-I", "-S"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("machine ")
    assert "pip download --no-deps" in done.stdout


def test_without_a_gpu_one_sentence_says_so(tmp_path: Path) -> None:
    done = call(PATH=str(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "has no NVIDIA GPU" in done.stderr


def test_an_unknown_step_is_refused() -> None:
    done = call("--only", "kernel")
    assert done.returncode == 2
    assert "no step named kernel" in done.stderr


def test_a_rehearsal_describes_the_machine(tmp_path: Path) -> None:
    done = call("--without-gpu", "--installed", "--only", "machine", "--out", str(tmp_path))
    steps = {step["name"]: step for step in json.loads((tmp_path / "gpu_none.json").read_text())["steps"]}
    assert steps["machine"]["figures"]["torch"]["version"] == torch.__version__
    assert done.stdout.splitlines()[0].startswith("machine    passed")


def test_every_step_names_files_and_tests_that_exist(package: None, tmp_path: Path) -> None:
    from gpu_check import steps
    from gpu_check.context import Context

    for gpu in ("Simulated GPU", None):
        context = Context(gpu, tmp_path, tmp_path, tmp_path / "site", tmp_path / "wheels")
        words = [word for step in steps.STEPS for command in step.commands(context) for word in command]
        named = [Path(word) for word in words if word.startswith(str(ROOT)) and word != sys.executable]
        assert all(path.exists() for path in named)
        assert {path.name for path in named} >= {"test_cuda.py", "device", "test_bench_fsnl.py"}
        modules = [word for word in words if word.startswith("gpu_check.")]
        assert all((SCRIPTS / "gpu_check" / f"{word.partition('.')[2]}.py").is_file() for word in modules)
    assert len(steps.GROUPS) == 10  # lines of the summary


def test_a_carried_wheel_is_pinned_to_what_the_project_takes(package: None) -> None:
    from gpu_check import wheels

    assert wheels.CARRIED.keys().isdisjoint(wheels.EXPECTED)
    line = wheels.download_line(wheels.pinned(), "3.13")
    assert "--python-version 3.13" in line
    assert "pydantic-core==" in line


# -- the measurements --------------------------------------------------------------------------------------------------


def test_two_runs_on_the_device_and_one_on_the_cpu_are_compared(
    package: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from gpu_check import compare_runs, figures

    root = make_root(
        tmp_path / "root", {"Animals4_OOP": ("auk", "ibex", "moth", "rose"), "Animals2_IP": ("cat", "dog")}
    )
    words = ["--domain", "Animals", "--shots", "1", "--seeds", "1", "--backbone", "beyond-mini", "--workers", "1"]
    words = ["evaluate", "--plugin", "tip_adapter", *words, "--data", str(root), "--cache", str(tmp_path / "cache")]
    folders = [tmp_path / name for name in ("first", "second", "cpu")]
    with fake_cuda():
        for folder in folders[:2]:
            assert execute([*words, "--device", "cuda", "--out", str(folder)]) == 0
    assert execute([*words, "--device", "cpu", "--out", str(folders[2])]) == 0
    capfd.readouterr()
    assert compare_runs.main([*map(str, folders)]) == 0
    found = figures.runs(capfd.readouterr().out).figures
    scored = 3 * (4 * 3 + 2 * 3) + 2 * 3  # each image three times, and IP images once more by zero-shot
    assert found["same_bytes"]
    assert found["predictions"] == 2 * scored
    assert found["different"] == sum(found["different_by_method"].values())
    board = json.loads((folders[1] / "leaderboard.json").read_text())
    (folders[1] / "leaderboard.json").write_text(json.dumps(board))
    assert compare_runs.main([*map(str, folders)]) == 1


def test_a_prediction_that_differs_is_counted(package: None, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from gpu_check import compare_runs

    for name, oop in (("one", [0, 1, 2, 3]), ("two", [0, 1, 3, 3])):
        (tmp_path / name / "predictions" / "aa").mkdir(parents=True)
        save_file({"oop": np.array(oop, np.uint8)}, tmp_path / name / "predictions" / "aa" / "aa1.safetensors")
        row = {
            "method": "m",
            "failures": [],
            "data": {"Food": {"predictions": {"1": "aa1"}}},
            "mean": {"oop_top1": {"mean": 0.25 * oop[2]}},
        }
        (tmp_path / name / "leaderboard.json").write_text(json.dumps({"rows": [row]}))
    found = compare_runs.compare(tmp_path / "one", tmp_path / "one", tmp_path / "two")
    assert (found["predictions"], found["different"]) == (4, 1)
    assert found["largest_difference_of_a_metric"] == pytest.approx(0.25)


def test_encoding_is_measured_on_a_device(package: None, tmp_path: Path) -> None:
    from gpu_check import encoding

    with fake_cuda():
        made = backbone()
        made.device = torch.device("cuda", 0)
        found = encoding.measure(made, tmp_path, images=8, most_threads=2)
    assert set(found["encoded_from_memory"]) == {"fp32", "tf32", "bf16"}
    assert set(found["encoded_from_files"]) == {"1", "2"}
    assert all(rate > 0 for part in ("encoded_from_memory", "encoded_from_files") for rate in found[part].values())


def test_the_backbone_with_random_weights_is_loaded_as_any_other(package: None, tmp_path: Path) -> None:
    from gpu_check import encoding

    made = encoding.random_backbone(tmp_path, torch.device("cpu"), "ViT-S-32-alt")
    (source,) = encoding.write_images(tmp_path / "images", 1)
    assert made.encode_image(encoding._pixels(made, source)[None]).norm() == pytest.approx(1)


def test_generated_photographs_are_distinct(package: None, tmp_path: Path) -> None:
    from gpu_check import encoding
    from harness.datasets.images import load_image

    sources: list[ImageSource] = encoding.write_images(tmp_path, encoding.DISTINCT + 2)
    assert len({source.sha256 for source in sources}) == len(sources)
    first, again = (load_image(sources[i].file) for i in (0, encoding.DISTINCT))
    assert first.size == encoding.SIZE
    assert first.tobytes() == again.tobytes()


# -- what programs print -----------------------------------------------------------------------------------------------

RACE = """
tests/matching/test_cuda.py::test_sanitized[cuda] PASSED
============ 2 passed, 300 deselected in 9.21s ============
========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)
"""


def test_sanitizer_summary_is_parsed(package: None) -> None:
    from gpu_check import figures

    found = figures.sanitizer(RACE)
    assert found.figures["summary"] == ["RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)"]
    assert found.figures["passed"] == 2
    with pytest.raises(figures.NothingFound, match="no summary"):
        figures.sanitizer("Device not supported")


def test_a_stopped_test_run_names_the_test_that_hung(package: None) -> None:
    from gpu_check import figures

    said = "tests/a.py::test_one PASSED [ 1%]\ntests/a.py::test_two[cuda] "
    found = figures.tests(said)
    assert (found.figures["passed"], found.figures["last"]) == (1, "tests/a.py::test_two[cuda] ")


def test_results_contain_no_machine_paths(package: None, tmp_path: Path) -> None:
    from gpu_check.context import Context

    work, out = tmp_path / "work", tmp_path / "out"
    context = Context(None, work, out, None, None)
    text = f"{sys.executable} {work}/a {out} {ROOT}/tests {ROOT}-other {os.path.relpath(ROOT, work)}/tests/b.py::c"
    assert context.shown(text) == f"python $WORK/a $OUT ./tests {ROOT}-other ./tests/b.py::c"
