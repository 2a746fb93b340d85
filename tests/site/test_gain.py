"""Effective OOP gain on the page: what it holds, and how it is shown in a headless Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis.effective_gain import effective_gains
from harness.site.gains import gains
from harness.types.cell import Cell

from ..plots.boards import DOMAINS, board, grid, study
from .chromium import Browser
from .steps import texts

PLACE = ("clean-v1", "beyond-mini")


def cells() -> list[Cell]:
    """Those of the study, all of them near zero-shot's line, and a method above it."""
    above = [
        cell.model_copy(update={"metrics": {**cell.metrics, "oop_top1": cell.metrics["oop_top1"] + 0.2}})
        for cell in grid("above", 4, 0.3)
    ]
    return [*study(), *above]


def test_rows_have_the_gains_of_the_analysis_and_incomplete_ones_no_mean() -> None:
    rows = board(cells()).rows
    (line,), found = gains((PLACE, row) for row in rows)
    fit, expected = effective_gains(rows, "zero_shot")
    assert (line["protocol"], line["dataset"], line["text"]) == (*PLACE, fit.equation("zero_shot"))
    assert all(oop == pytest.approx(100 * fit.predict(ip / 100), abs=0.001) for ip, oop in line["curve"])
    assert {ip for ip, _ in line["curve"]} >= {0, 50, 100}
    whole = {row.id for row in rows if row.complete}
    assert len(whole) < len(rows) == len(found)
    for one in expected:
        assert found[one.row]["domains"] == {domain: gain for domain, (_, _, gain) in one.domains.items()}
        assert found[one.row]["mean"] == (one.mean if one.row in whole else None)


def test_each_protocol_has_its_own_line_and_none_without_zero_shot() -> None:
    rows = board(cells()).rows
    alone = ((("other", "data"), row) for row in rows if row.method == "fsnl")
    lines, found = gains([*((PLACE, row) for row in rows), *alone])
    assert [(line["protocol"], line["dataset"]) for line in lines] == [PLACE]
    assert set(found) == {row.id for row in rows}
    assert gains((PLACE, row) for row in board(grid("fsnl", 4, 0.3)).rows) == ([], {})


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_gain_is_a_column_and_a_part_of_the_row(browser: Browser, site: Callable[..., Path]) -> None:
    page = site(cells())
    rows = board(cells()).rows
    fit, expected = effective_gains(rows, "zero_shot")
    gain = {one.row: one for one in expected}
    browser.open(page.as_uri())
    browser.run("document.querySelector('[data-sort=gain]').click()")
    order = browser.run("[...document.querySelectorAll('tbody tr[data-row]')].map((line) => line.dataset.row)")
    means = {row.id: round(100 * gain[row.id].mean, 1) for row in rows if row.complete}
    shown = [means[row] for row in order if row in means]
    assert shown == sorted(shown, reverse=True)
    assert order.index(next(row.id for row in rows if row.method == "above")) == 0
    cell = "document.querySelector('tr[data-row=\"{}\"]').lastChild.textContent"
    best = order[0]
    assert browser.run(cell.format(best)) == f"+{100 * gain[best].mean:.1f}"
    (broken,) = (row.id for row in rows if not row.complete)
    assert browser.run(cell.format(broken)) == "–"
    browser.open(f"{page.as_uri()}#row={best}")
    assert texts(browser, "#gain-table tbody th") == [*DOMAINS, "mean"]
    last = "[...document.querySelectorAll('#gain-table tbody tr')].map((line) => line.lastChild.textContent)"
    points = [gain[best].domains[domain][2] for domain in DOMAINS]
    assert browser.run(last) == [f"+{100 * value:.1f}" for value in (*points, gain[best].mean)]
    assert fit.equation("zero_shot") in browser.run("document.getElementById('row').textContent")
    dots = "[...document.querySelectorAll('#gain .dot')].map((dot) => dot.getBoundingClientRect())"
    tops = browser.run(f"{dots}.map((box) => box.top)")
    assert tops == sorted(tops, reverse=True)  # each domain is better than the one before
    browser.open(site(grid("fsnl", 4, 0.3)).as_uri())
    assert not browser.run("!!document.querySelector('[data-sort=gain]')")
