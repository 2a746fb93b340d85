"""Confusions of a row in a headless Chromium: map, most confused pairs, thumbnails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.results.artifacts import open_file
from harness.site import classes
from harness.site.build import build
from harness.site.confusion import JOINT, confusions

from ..datasets.roots import make_root
from ..leaderboard.results import PER_PART, Lab, read_all, run
from .chromium import Browser
from .steps import texts
from .test_access import CONTRAST

pytestmark = pytest.mark.usefixtures("quiet")

DOMAIN = "Animals"
MAP = "document.querySelector('#confusion canvas')"
PIXELS = f"""((map, copy) => {{
  copy.width = map.width; copy.height = map.height;
  const pen = copy.getContext('2d', {{willReadFrequently: true}});
  pen.drawImage(map, 0, 0);
  return (x, y) => String(pen.getImageData(x, y, 1, 1).data);
}})({MAP}, document.createElement('canvas'))"""
SAID = "document.querySelector('#confusion .cell').textContent"


def show(browser: Browser, page: Path, lab: Lab) -> None:
    """Open the row of ``fsnl`` at a domain and wait for its maps."""
    browser.open(f"{page.as_uri()}#row={lab.row('fsnl').id}")
    field = "document.getElementById('class-domain')"
    browser.run(f"{field}.value = {DOMAIN!r}; {field}.dispatchEvent(new Event('change'))")
    browser.wait("document.querySelectorAll('#confusion canvas').length === 2")


def matrix(lab: Lab) -> tuple[list[str], Any]:
    """Names in alphabetical order, and how often each was named what."""
    row, (_, artifacts) = lab.row("fsnl"), open_file(lab.out)
    names = artifacts.sheet(row.data[DOMAIN].fingerprint).sides["oop"].names
    counts = confusions(row, artifacts, DOMAIN)["oop"]
    order = sorted(range(len(names)), key=lambda i: names[i])
    return [names[i] for i in order], counts[np.ix_(order, order)]


def test_confused_pairs_match_predictions(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    names, counts = matrix(lab)
    total = counts.sum(axis=1)
    confused = {
        (names[i], names[j], f"{counts[i, j]} of {total[i]}")
        for i in range(len(names))
        for j in range(len(names))
        if i != j and counts[i, j]
    }
    table = "document.querySelector('#confusion table')"
    rows = browser.run(f"[...{table}.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))")
    shown = [(true, given, times.partition(" (")[0]) for true, given, times in rows]
    assert set(shown) <= confused
    assert len(set(shown)) == min(12, len(confused))
    shares = [int(a) / int(b) for *_, times in shown for a, b in [times.split(" of ")]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == max((counts / total[:, None])[~np.eye(len(names), dtype=bool)])
    assert browser.run(f"{table}.closest('[role=region]').ariaLabel") == "Most confused pairs out of pre-training"


def show_all_names(browser: Browser, page: Path, lab: Lab) -> None:
    show(browser, page, lab)
    browser.run("document.getElementById('class-names').focus()")
    browser.key("ArrowDown")
    browser.wait("document.querySelectorAll('#confusion canvas').length === 1")


def test_joint_matrix_shows_confusions_across_sides(browser: Browser, pictured: Path, lab: Lab) -> None:
    show_all_names(browser, pictured, lab)
    row, (_, artifacts) = lab.row("fsnl"), open_file(lab.out)
    sides = artifacts.sheet(row.data[DOMAIN].fingerprint).sides
    names = [f"{name} ({side.upper()})" for side in ("oop", "ip") for name in sides[side].names]
    counts, k = confusions(row, artifacts, DOMAIN)[JOINT], len(sides["oop"].names)
    crossed = [
        f"{part[0].sum()} of {part[1].sum()} (" for part in ((counts[:k, k:], counts[:k]), (counts[k:, :k], counts[k:]))
    ]
    (text,) = texts(browser, "#confusion .crossings")
    assert f"with a name in pre-training: {crossed[0]}" in text
    assert f"Vice versa: {crossed[1]}" in text

    shown = browser.run("""[...document.querySelectorAll('.classes li')].map(li =>
      ['.concept', '.value', '.instead'].map(part => li.querySelector(part)?.textContent ?? ''))""")
    assert sorted(name for name, *_ in shown) == sorted(names)
    for name, value, instead in shown:
        own = counts[i := names.index(name)]
        assert float(value) == pytest.approx(100 * own[i] / own.sum(), abs=0.051)
        others = np.where(np.arange(len(own)) == i, 0, own)
        if others.any():
            share, _, other = instead.partition(" % taken for ")
            assert others[names.index(other)] == others.max()
            assert float(share) == pytest.approx(100 * others.max() / own.sum(), abs=0.501)
        else:
            assert instead == ""

    order = [*sorted(range(k), key=lambda i: names[i]), *sorted(range(k, len(names)), key=lambda i: names[i])]
    browser.run(f"{MAP}.focus()")
    for key in ["ArrowUp", "ArrowLeft"] * len(names):
        browser.key(key)
    for x, j in enumerate(order):
        what = "correct" if x == 0 else f"taken for {names[j]}"
        said = f"{names[order[0]]} {what}: {counts[order[0], j]} of {counts[order[0]].sum()} ("
        assert browser.run(SAID).startswith(said)
        browser.key("ArrowRight")
    assert f"{len(names)} concepts of both sides" in browser.run(f"{MAP}.ariaLabel")
    assert browser.run("document.getElementById('class-names').labels[0].textContent").startswith(
        "Names to choose from"
    )


def test_own_names_can_be_selected_again(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    before = texts(browser, ".classes li")
    show_all_names(browser, pictured, lab)
    assert texts(browser, ".classes li") != before
    browser.run(
        "(f => { f.value = 'own'; f.dispatchEvent(new Event('change')); })(document.getElementById('class-names'))"
    )
    browser.wait("document.querySelectorAll('#confusion canvas').length === 2")
    assert texts(browser, ".classes li") == before


def test_arrow_keys_go_from_cell_to_cell(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    names, counts = matrix(lab)

    def said(i: int, j: int) -> str:
        what = "correct" if i == j else f"taken for {names[j]}"
        return f"{names[i]} {what}: {counts[i, j]} of {counts[i].sum()} ("

    browser.run("document.getElementById('class-domain').focus()")
    for _ in range(40):
        browser.key("Tab")
        if browser.run(f"document.activeElement === {MAP}"):
            break
    first = browser.run(SAID)
    assert first.startswith(browser.run("document.querySelector('#confusion tbody th').textContent"))
    for key in ["ArrowUp", "ArrowLeft"] * len(names):
        browser.key(key)
    assert browser.run(SAID).startswith(said(0, 0))
    browser.key("ArrowDown")
    assert browser.run(SAID).startswith(said(1, 0))
    browser.key("ArrowRight")
    assert browser.run(SAID).startswith(said(1, 1))
    assert browser.run("document.querySelector('#confusion .cell').getAttribute('aria-live')") == "polite"
    assert "the table that follows lists the most confused pairs" in browser.run(f"{MAP}.ariaLabel")


def test_selected_cell_of_large_map_scrolls_into_view(browser: Browser, tmp_path: Path) -> None:
    names = tuple(f"name {i}" for i in range(70))
    parts = {"train": 2, "val": 1, "test": 1}
    root = make_root(tmp_path / "data", {f"{DOMAIN}70_OOP": names, f"{DOMAIN}2_IP": ("cat", "dog")}, parts)
    domains = read_all(root, tmp_path)
    large = Lab(root, domains, tmp_path / "results", run(tmp_path / "results", domains))
    browser.window(375, 420)
    show(browser, build([large.out], tmp_path / "page", data=tmp_path), large)
    browser.run(f"{MAP}.focus()")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        browser.run(f"for (let i = 0; i < 70; i++) {MAP}.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}}}))")
        i, j = browser.run(f"{SAID}.match(/^(.*?) (?:taken for (.*)|correct):/).slice(1)")
        at = [sorted(names).index(name) for name in (i, j or i)]
        place = browser.run(f"(b => [b.left, b.top, b.height / 70])({MAP}.getBoundingClientRect())")
        x, y = place[0] + (at[1] + 0.5) * place[2], place[1] + (at[0] + 0.5) * place[2]
        assert 0 < x < 375, key
        assert 60 < y < 420 - 25, key


def test_pointer_selects_cell(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    names, counts = matrix(lab)
    k = len(names)
    found = browser.run(f"""(() => {{
      const canvas = {MAP}, box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
      const cell = box.height / {k}, left = box.width - cell * {k};
      const at = {PIXELS}, ground = at(canvas.width - 1, canvas.height - 1);
      const cells = [];
      for (let i = 0; i < {k}; i++) for (let j = 0; j < {k}; j++) {{
        const [x, y] = [left + (j + 0.5) * cell, (i + 0.5) * cell];
        const colour = at(Math.round(x * scale), Math.round(y * scale));
        const where = {{clientX: box.left + x, clientY: box.top + y, bubbles: true}};
        canvas.dispatchEvent(new PointerEvent('pointermove', where));
        cells.push([{SAID}, colour !== ground]);
      }}
      return cells;
    }})()""")
    for (i, j), (text, painted) in zip(np.ndindex(k, k), found, strict=True):
        assert text.startswith(names[i])
        assert f": {counts[i, j]} of {counts[i].sum()} (" in text
        assert painted == (counts[i, j] > 0), text


def test_classes_and_pairs_have_pictures(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    sizes = browser.run("[...document.querySelectorAll('#row img')].map(i => [i.complete && i.naturalWidth, i.alt])")
    assert len(sizes) > 9
    assert {tuple(size) for size in sizes} == {(40, "")}, "the name is next to it"


def test_hostile_concept_name_is_escaped(browser: Browser, tmp_path: Path) -> None:
    names = ('"><img src=x onerror=broken=1>', "<!--<script>", "${1}$$")
    root = make_root(tmp_path / "data", {f"{DOMAIN}3_OOP": names, f"{DOMAIN}2_IP": ("cat", "dog")}, PER_PART)
    domains = read_all(root, tmp_path)
    hostile = Lab(root, domains, tmp_path / "results", run(tmp_path / "results", domains))
    show(browser, build([hostile.out], tmp_path / "page", data=root), hostile)
    assert set(texts(browser, "#confusion section:first-child tbody .concept")) <= set(names)
    assert sorted(texts(browser, ".classes .concept")) == sorted([*names, "cat", "dog"])
    assert browser.run("window.broken") is None
    assert browser.run("[...document.images].every(i => i.className === 'thumb')")


def test_page_without_data_has_no_thumbnails(browser: Browser, lab: Lab, tmp_path: Path) -> None:
    show(browser, build([lab.out], tmp_path, data=tmp_path), lab)
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_omitted_matrix_is_announced(
    browser: Browser, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "LIMIT", 0)
    browser.open(f"{build([lab.out], tmp_path).as_uri()}#row={lab.row('fsnl').id}")
    assert "would become too large" in "".join(texts(browser, "#confusion .hint"))
    assert texts(browser, ".classes .instead")


@pytest.mark.parametrize("shown", [show, show_all_names])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (375, False)])
def test_confusion_section_is_accessible(
    browser: Browser, pictured: Path, lab: Lab, width: int, dark: bool, shown: Callable[..., None]
) -> None:
    browser.window(width, 900, dark)
    shown(browser, pictured, lab)
    browser.run(f"{MAP}.focus()")
    assert [m for m in browser.run(CONTRAST) if m[0] < 4.5] == []
    assert browser.run("document.getElementById('row').scrollWidth") <= width
    assert browser.run(f"{MAP}.getBoundingClientRect().height") >= 6 * 6


def test_map_follows_colour_scheme(browser: Browser, pictured: Path, lab: Lab) -> None:
    show(browser, pictured, lab)
    pixel = f"{PIXELS}({MAP}.width - 1, {MAP}.height - 1)"
    light = browser.run(pixel)
    browser.window(1280, 900, dark=True)
    browser.wait(f"{pixel} !== {light!r}")
