"""Accessibility of the page: keyboard, screen reader, phone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..plots.boards import board, study
from .chromium import Browser

pytestmark = pytest.mark.usefixtures("quiet")

FOCUS = "document.activeElement.id || document.activeElement.dataset.row || document.activeElement.dataset.sort"


def test_keyboard_reaches_everything(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    browser.run("document.body.focus()")
    seen = []
    for _ in range(60):
        browser.key("Tab")
        seen.append(browser.run(FOCUS))
        if seen[-1] == "fsnl" or browser.run("document.activeElement.className") == "open":
            break
    filters = ["by-setting", "by-metric", "by-shots", "by-backbone", "by-needs", "by-text", "by-verified", "reset"]
    assert [s for s in seen if s in filters] == filters
    assert "rank" in seen
    assert "domain Food" in seen
    opened = browser.run("document.activeElement.dataset.row")
    ring = browser.run(
        "getComputedStyle(document.activeElement).outlineWidth + getComputedStyle(document.activeElement).outlineStyle"
    )
    assert ring == "3pxsolid"

    browser.key("ArrowRight")
    browser.key("ArrowRight")
    assert browser.run("document.activeElement.tagName") == "TD"
    assert "H-mean, mean over 3 of 3 domains: 54.00 %" in browser.run("document.getElementById('tip').textContent")
    assert browser.run("document.activeElement.getAttribute('aria-describedby')") == "tip"
    browser.key("ArrowDown")
    assert browser.run("document.activeElement.parentNode.dataset.row") != opened
    browser.key("ArrowUp")

    browser.key("Enter")
    assert browser.run("document.getElementById('row').open")
    for _ in range(30):  # the focus stays in the dialog
        browser.key("Tab")
        assert browser.run(
            "[document.body, ...document.querySelectorAll('#row, #row *')].includes(document.activeElement)"
        )
    browser.key("Escape")
    browser.wait("!document.getElementById('row').open")
    assert browser.run("document.activeElement.parentNode.dataset.row") == opened


def test_page_has_landmarks_for_screen_readers(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.run("document.documentElement.lang") == "en"
    for landmark in ("header", "main", "footer", "form[role=search][aria-label]", "h1"):
        assert browser.run(f"document.querySelectorAll('body {landmark}').length") == 1, landmark
    assert "beyond-mini, protocol clean-v1" in browser.run("document.getElementById('table').caption.textContent")
    assert browser.run("[...document.querySelectorAll('#table tbody tr')].every(r => r.querySelector('th[scope=row]'))")
    heads = "[...document.querySelectorAll('#table thead tr:last-child th')]"
    assert browser.run(f"{heads}.every(t => t.scope === 'col' && t.hasAttribute('aria-sort'))")
    assert browser.run("[...document.querySelectorAll('input, select')].every(f => f.labels.length === 1)")
    said = browser.run("[...document.querySelectorAll('#shots-panels svg[role=img]')].map(s => s.ariaLabel)")
    assert len(said) == 4
    assert all("fsnl: " in text for text in said)
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    unnamed = [
        n
        for n in tree
        if n["role"]["value"] in ("button", "combobox", "searchbox", "checkbox", "table", "dialog")
        and not n["name"]["value"]
    ]
    assert unnamed == []
    heads = {n["name"]["value"] for n in tree if n["role"]["value"] == "columnheader"}
    assert {"Rank", "Method", "H-mean", "Animals", "Plants"} <= heads


CONTRAST = """(() => {
  const unit = text => text.startsWith('color(') ? 255 : 1;  // a mixed colour has numbers from 0 to 1
  const rgb = text => text.match(/[\\d.]+/g).map((v, i) => i < 3 ? unit(text) * v : Number(v));
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = rgb(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.getClientRects().length) continue;
    if (node.closest('script, style, noscript')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(rgb(node.closest('svg') ? style.fill : style.color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, node.tagName, texts.currentNode.data.trim().slice(0, 30)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
})()"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_text_contrast_is_sufficient(browser: Browser, page: Path, dark: bool, opened: bool) -> None:
    row = next(r for r in board(study()).rows if r.method == "fragile")
    browser.window(1280, 900, dark)
    browser.open(f"{page.as_uri()}#row={row.id}" if opened else page.as_uri())
    measured: list[Any] = browser.run(CONTRAST)
    assert len(measured) > 100
    assert [m for m in measured if m[0] < 4.5] == []
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 22, 26)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("opened", [False, True])
def test_phone_needs_no_horizontal_scrolling(browser: Browser, page: Path, opened: bool) -> None:
    row = board(study()).rows[0]
    browser.window(375, 700)
    browser.open(f"{page.as_uri()}#row={row.id}" if opened else page.as_uri())
    assert browser.run("document.documentElement.scrollWidth") == 375
    if opened:
        assert browser.run("document.getElementById('row').scrollWidth") <= 375
    # The name of a row stays in sight while its figures move.
    else:
        browser.run("document.getElementById('table-scroll').scrollLeft = 200")
        assert browser.run("document.querySelector('tbody th.name').getBoundingClientRect().left") < 30
    targets = "[...document.querySelectorAll('select, input[type=search], .plain')].filter(e => e.offsetParent)"
    assert min(browser.run(f"{targets}.map(e => e.offsetHeight)")) >= 44


def test_reduced_motion_is_respected(browser: Browser, page: Path) -> None:
    browser.open(f"{page.as_uri()}#row={board(study()).rows[0].id}")
    assert browser.run("getComputedStyle(document.querySelector('.classes .track i')).transitionDuration") == "0s"
