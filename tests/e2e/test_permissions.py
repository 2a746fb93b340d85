"""Missing permissions give an error with a hint, and no image is left out silently."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli.main import execute
from harness.datasets.check import check_root

from ..datasets.roots import make_root
from .conftest import Answer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ordinary")]

ZERO_SHOT = ("--plugin", "zero_shot", "--seeds", "1", "--backbone", "beyond-mini", "--workers", "1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_root(tmp_path / "data")


@pytest.fixture
def run(harness: Callable[..., Answer], tmp_path: Path, data: Path) -> Callable[..., Answer]:
    """A short run on its own root, with its own cache."""

    def call(*more: object, cache: Path = tmp_path / "own") -> Answer:
        where = ("--data", data, "--out", tmp_path / "results", "--cache", cache)
        chosen = () if "--domain" in more else ("--all-domains",)
        return harness("evaluate", *ZERO_SHOT, *where, *chosen, *more)

    return call


@pytest.fixture
def private() -> Iterator[None]:
    """A user whose files are his own."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def assert_sentence(answer: Answer, about: Path | str) -> None:
    """One sentence that names the place, and a hint."""
    assert answer.code == 2
    said = "".join(answer.err.split())  # lines are broken anywhere in a long path
    assert "".join(str(about).split()) in said
    # The options check access(2), which lets root pass; for other users they fail earlier.
    assert "ermissiondeniedhint:" in said or (said.endswith("isnotreadable.") and "-h'forhelp" in said)
    assert "Traceback" not in answer.err


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_images_that_may_not_be_read_are_listed_and_counted(
    mode: int, run: Callable[..., Answer], harness: Callable[..., Answer], data: Path
) -> None:
    folder = data / "Animals6_OOP/images/ibex"
    images = sorted(folder.iterdir())
    for path in [folder] if mode else images:
        path.chmod(mode)
    answer = run("--domain", "Animals", "--json")
    assert answer.code == 0
    (row,) = answer.json["rows"]
    assert row["data"]["Animals"]["unreadable"] == [f"Animals6_OOP/images/ibex/{p.name}" for p in images[-3:]]
    assert row["data"]["Animals"]["images"]["oop"] == 15
    stated = run("--domain", "Animals", "--out", data.parent / "again").err
    assert "3 images could not be read and are not scored:" in stated
    assert f"{images[-1].name}: the file cannot be read (Permission denied)" in stated
    (report,) = (found for found in check_root(data).folders if found.folder == "Animals6_OOP")
    assert {fault.kind for fault in report.problems} == {"unreadable"}
    assert len(report.problems) == len(images) == 9
    assert harness("data", "check", data).code == 1


@pytest.mark.parametrize("place", ["", "images", "images/ibex", "split_Xin_Animals6_OOP.json"])
def test_unreadable_domain_is_missing_with_reason(place: str, run: Callable[..., Answer], data: Path) -> None:
    (data / "Animals6_OOP" / place).chmod(0o000)
    answer = run("--json")
    assert answer.code == 1
    (row,) = answer.json["rows"]
    (failure,) = row["failures"]
    assert failure["domain"] == "Animals"
    assert "cannot be read: Permission denied" in failure["reason"]
    assert "download" not in answer.err
    assert set(row["domains"]) == {"Insects_Spiders", "Ville d'été"}
    assert row["mean"] == {}
    faults = [fault for folder in check_root(data).folders for fault in folder.problems]
    assert any("cannot be read: Permission denied" in fault.reason for fault in faults)


def test_unreadable_root_is_user_error(run: Callable[..., Answer], data: Path) -> None:
    data.chmod(0o444)
    assert_sentence(run(), data)


# -- results -----------------------------------------------------------------------------------------------------------


def test_unwritable_results_are_reported_first(run: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "results").mkdir(mode=0o555)
    answer = run()
    assert_sentence(answer, tmp_path / "results")
    assert "reading domains" not in answer.err


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_cells_that_may_not_be_read_do_not_leave_the_leaderboard(
    mode: int, run: Callable[..., Answer], tmp_path: Path
) -> None:
    assert run("--domain", "Animals").code == 0
    board = (tmp_path / "results/leaderboard.json").read_bytes()
    for folder in (tmp_path / "results/cells").iterdir():
        folder.chmod(mode)
    assert_sentence(run("--domain", "Insects_Spiders"), tmp_path / "results/cells")
    assert (tmp_path / "results/leaderboard.json").read_bytes() == board


@pytest.mark.usefixtures("private")
def test_files_have_the_mode_that_the_user_chose(run: Callable[..., Answer], tmp_path: Path) -> None:
    assert run("--domain", "Animals").code == 0
    made = [path for top in ("results", "own") for path in (tmp_path / top).rglob("*") if path.is_file()]
    assert len(made) > 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


@pytest.mark.parametrize(
    ("command", "place"),
    [
        *((("leaderboard", "verify"), place) for place in ("", "leaderboard.json", "labels")),
        *((("leaderboard", "submit"), place) for place in ("", "leaderboard.json", "labels")),
        *((("reproduce",), place) for place in ("", "leaderboard.json")),
    ],
)
def test_unreadable_verification_inputs_are_user_errors(
    command: tuple[str, ...], place: str, run: Callable[..., Answer], harness: Callable[..., Answer], tmp_path: Path
) -> None:
    assert run("--domain", "Animals").code == 0
    results = tmp_path / "results"
    (results / place).chmod(0o000)
    board = results / "leaderboard.json"
    answer = harness(*command, board if command[-1] == "verify" else f"{board}#zero_shot")
    if place or command[-1] != "verify":
        assert_sentence(answer, results / place)
    else:  # the options' own check of a path
        assert (answer.code, "Traceback" in answer.err) == (2, False)


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_unwritable_cache_is_reported_before_encoding(
    run: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "own"
    cache.mkdir(mode=0o555)
    (tmp_path / "home").mkdir(mode=0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))  # what takes its place
    answer = run("--domain", "Animals")
    assert_sentence(answer, tmp_path / "home" / "laion-beyond-harness" / "features")
    assert "HARNESS_CACHE" in answer.err
    cache.chmod(0o755)
    assert run("--domain", "Animals").code == 0
    for path in [cache, *(p for p in cache.rglob("*") if p.is_dir())]:
        path.chmod(0o555)  # all that is needed is there
    assert run("--domain", "Animals", "--out", tmp_path / "again").code == 0


@pytest.mark.parametrize("place", ["", "features", "features/*", "features/*/view-000"])
def test_unreadable_cache_is_user_error(
    place: str,
    run: Callable[..., Answer],
    harness: Callable[..., Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cache = tmp_path / "own"
    assert run("--domain", "Animals").code == 0
    (shut,) = cache.glob(place) if place else [cache]
    shut.chmod(0o000)
    for command in ("list", "clear", "verify"):
        assert_sentence(harness("features", command, "--cache", cache), shut)
    assert_sentence(run("--domain", "Animals", "--out", tmp_path / "again"), shut)
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    capfd.readouterr()
    assert execute(["doctor", "--json"]) == 1
    stated = {line["what"]: line for line in json.loads(capfd.readouterr().out)}
    assert "permission denied" in stated["feature cache"]["state"]
    assert "HARNESS_CACHE" in stated["feature cache"]["hint"]


@pytest.mark.parametrize("place", ["", "beyond-mini", "beyond-mini/dataset.json"])
def test_unreadable_miniature_is_user_error(place: str, harness: Callable[..., Answer], tmp_path: Path) -> None:
    world = tmp_path / "cache" / "beyond-mini"
    world.mkdir(parents=True)
    (world / "dataset.json").write_text("{}")
    (tmp_path / "cache" / place).chmod(0o000)
    assert_sentence(harness("data", "miniature", "--out", world), world)


# -- everything else ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", *ZERO_SHOT, "--all-domains", "--data", "shut/x"),
        ("evaluate", *ZERO_SHOT, "--all-domains", "--manifests", "shut/x"),
        ("evaluate", *ZERO_SHOT, "--all-domains", "--data", "world", "--pretrained", "shut/x.pt"),
        ("evaluate", "--config", "shut/run.toml"),
        ("data", "check", "shut/x"),
        ("data", "download", "shut/x", "--offline"),
        ("plugins", "new", "my_method", "--into", "shut/x"),
        ("leaderboard", "show", "shut/x.json"),
        ("leaderboard", "verify", "shut/x.json"),
        ("leaderboard", "compare", "shut/a.json", "shut/b.json"),
        ("reproduce", "shut/x.json#fsnl"),
    ],
    ids=lambda command: " ".join(command[-2:]),
)
def test_unreadable_folders_never_give_traceback(
    command: tuple[str, ...],
    harness: Callable[..., Answer],
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("world").symlink_to(world)
    Path("shut").mkdir(mode=0o000)
    assert_sentence(harness(*command), "shut")
