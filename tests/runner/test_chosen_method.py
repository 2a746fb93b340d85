"""What the runner takes over of what a method declares."""

from __future__ import annotations

from pathlib import Path

from harness.registry import OWN, Origin
from harness.runner.chosen_method import ChosenMethod, MethodFacts
from harness.runner.request import MethodChoice

from ..makers import sha

ORIGIN = Origin("fsnl", "harness_plugins.fsnl", OWN, "1")


def facts(**files: Path) -> MethodFacts:
    return MethodFacts(
        parameters={},
        needs=(),
        seeded=True,
        pool="train-unlabeled",
        views=1,
        crop=0.5,
        files={sha(name): str(path) for name, path in files.items()},
        warning="",
    )


def test_files_that_a_method_declares_by_itself_are_not_made_readable(tmp_path: Path) -> None:
    """Else it could declare the stored labels, which its processes must not read."""
    given, own, labels, link = (tmp_path / name for name in ("given.json", "code/own.json", "labels.json", "code/link"))
    (tmp_path / "code").mkdir()
    for path in (given, own, labels):
        path.touch()
    link.symlink_to(labels)
    declared = facts(given=given, own=own, labels=labels, link=link)
    method = ChosenMethod.of(MethodChoice("greedy"), declared, ORIGIN, [given, tmp_path / "code"])
    assert set(method.files) - {*ORIGIN.places} == {given, own}
    of_all = ChosenMethod.of(MethodChoice("greedy"), declared, ORIGIN)
    assert set(of_all.files) - {*ORIGIN.places} == {given, own, labels, link}
