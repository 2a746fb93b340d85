"""The DendroMap of a row: what the page holds, and how it is drawn in a headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.metrics.prediction_kinds import LEVELS
from harness.results.artifacts import Artifacts, open_file
from harness.site.dendromap import dendromaps

from ..leaderboard.results import Lab
from .chromium import Browser
from .test_access import CONTRAST

DOMAIN = "Animals"
LEAVES = "[...document.querySelectorAll('#dendromap .leaf')]"
SAID = "document.querySelector('#dendromap .cell').textContent"


def made(lab: Lab, artifacts: Artifacts) -> tuple[dict[str, Any], list[Any]]:
    pool: list[Any] = []

    def place(value: Any) -> int:
        pool.append(value)
        return len(pool) - 1

    return dendromaps(lab.row("fsnl"), artifacts, place), pool


def test_leaves_and_errors_equal_direct_counting(lab: Lab) -> None:
    row, (_, artifacts) = lab.row("fsnl"), open_file(lab.out)
    found, pool = made(lab, artifacts)
    data = row.data[DOMAIN]
    for side in ("oop", "ip"):
        label = artifacts.labels(data.fingerprint, side, ()).tolist()
        stored = [artifacts.predictions(str(digest)) for digest in data.predictions.values()]
        leaf = stored[0][f"{side}_leaf"].tolist()
        shared = pool[found[DOMAIN][side]["leaves"]]
        assert shared["levels"] == LEVELS
        assert [path for path, *_ in shared["leaves"]] == sorted(set(leaf))
        for (path, images, usual, of_usual), wrong in zip(shared["leaves"], found[DOMAIN][side]["wrong"], strict=True):
            inside = [i for i, at in enumerate(leaf) if at == path]
            classes = [label[i] for i in inside]
            assert (images, of_usual) == (len(inside), classes.count(usual))
            assert of_usual == max(map(classes.count, classes))
            errors = np.mean([[one[side][i] != label[i] for i in inside] for one in stored])
            assert wrong == pytest.approx(1000 * errors, abs=0.51)


def test_rows_without_trees_have_no_map(lab: Lab) -> None:
    _, artifacts = open_file(lab.out)
    read = artifacts.predictions
    artifacts.predictions = lambda digest: {k: v for k, v in read(digest).items() if not k.endswith("leaf")}  # type: ignore[method-assign]
    assert made(lab, artifacts) == ({}, [])
    assert made(lab, Artifacts(lambda name: None)) == ({}, [])


def show(browser: Browser, page: Path, lab: Lab) -> None:
    browser.open(f"{page.as_uri()}#row={lab.row('fsnl').id}")
    field = "document.getElementById('dendro-domain')"
    browser.run(f"{field}.value = {DOMAIN!r}; {field}.dispatchEvent(new Event('change'))")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("width", [1280, 375])
def test_areas_are_as_large_as_numbers_of_images(width: int, browser: Browser, pictured: Path, lab: Lab) -> None:
    browser.window(width, 900)
    show(browser, pictured, lab)
    found, pool = made(lab, open_file(lab.out)[1])
    images = [images for _, images, *_ in pool[found[DOMAIN]["oop"]["leaves"]]["leaves"]]
    boxes = browser.run(
        f"{LEAVES}.map((leaf) => {{ const b = leaf.getBoundingClientRect(); return [b.width * b.height, b.right]; }})"
    )
    areas = [area for area, _ in boxes]
    assert sorted(area / sum(areas) for area in areas) == pytest.approx(
        sorted(n / sum(images) for n in images), rel=0.02
    )
    assert max(right for _, right in boxes) <= width


@pytest.mark.usefixtures("quiet")
def test_arrow_keys_tell_of_each_group_and_sides_can_be_chosen(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    browser.run("document.querySelector('#dendromap .dendro').focus()")
    browser.wait(f"{SAID}.includes('named wrongly')")
    first = browser.run(SAID)
    browser.key("ArrowRight")
    assert browser.run(SAID) != first
    browser.key("ArrowLeft")
    assert browser.run(SAID) == first
    field = "document.getElementById('dendro-side')"
    browser.run(f"{field}.value = 'ip'; {field}.dispatchEvent(new Event('change'))")
    assert "in pre-training" in browser.run("document.querySelector('#dendromap .dendro').getAttribute('aria-label')")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("dark", [False, True])
def test_the_text_of_groups_can_be_read_at_every_error(dark: bool, browser: Browser, pictured: Path, lab: Lab) -> None:
    browser.window(1280, 900, dark)
    show(browser, pictured, lab)
    browser.run(f"{LEAVES}.forEach((leaf, i) => leaf.style.setProperty('--wrong', i % 2))")
    measured = [ratio for ratio, tag, _ in browser.run(CONTRAST) if tag in ("B", "SPAN")]
    assert len(measured) > 6
    assert min(measured) >= 4.5
