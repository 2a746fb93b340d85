"""The page in a headless Chromium: sorting, filters, row details, missing cells, no network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.site.build import build

from ..leaderboard.results import Answering, Lab, make_lab, run
from ..leaderboard.test_pretraining import annotate, counted
from ..plots.boards import DOMAINS, board, cell, grid, study
from .chromium import Browser
from .steps import ORDER, choose, texts

pytestmark = pytest.mark.usefixtures("quiet")


def test_rows_are_ranked_by_their_mean_and_an_incomplete_one_comes_last(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.run("document.getElementById('by-shots').value") == "4"
    assert browser.run(ORDER) == ["fsnl", "zero_shot", "fragile"]
    cells = "[...document.querySelectorAll('#table tbody tr')].map(r => [...r.children].map(c => c.textContent))"
    fsnl, zero_shot, fragile = browser.run(cells)
    assert fsnl[0] in ("1", "–")
    assert fragile[0] == "–"
    # Rank, name, shots; then the chosen metric, OOP, IP and joint H-mean; a row with a hole has none of them.
    assert fsnl[3].startswith("54.0")
    assert zero_shot[4] == "24.0"
    assert fragile[3:7] == ["–"] * 4
    assert "incomplete: 1 domain" in fragile[1]


def test_missing_cell_shows_its_reason(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    partly = "document.querySelector('td.partly')"
    assert browser.run(f"{partly}.textContent") == "36.0"
    browser.run(f"{partly}.dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))")
    assert "Food, seed 2: error: out of memory" in browser.run("document.getElementById('tip').textContent")
    assert browser.run("document.getElementById('tip').hidden") is False


def test_column_head_sorts_and_announces_it(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    choose(browser, "shots", "")
    assert browser.run(ORDER)[:3] == ["fsnl"] * 3
    sort = "document.querySelector('[data-sort=\"domain Food\"]')"
    browser.run(f"{sort}.click()")
    assert browser.run(f"{sort}.closest('th').getAttribute('aria-sort')") == "descending"
    column = "[...document.querySelectorAll('#table thead tr:last-child th')].findIndex(t => t.textContent === 'Food')"
    values = f"[...document.querySelectorAll('#table tbody tr')].map(r => parseFloat(r.children[{column}].textContent))"
    down = browser.run(values)
    assert down == sorted(down, reverse=True)
    assert len(set(down)) == 5
    browser.run(f"{sort}.click()")
    assert browser.run(values) == sorted(down)
    assert browser.run(f"{sort}.closest('th').getAttribute('aria-sort')") == "ascending"
    assert (
        browser.run("document.querySelectorAll('#table [aria-sort=ascending], #table [aria-sort=descending]').length")
        == 1
    )


def test_mean_over_fewer_domains_is_marked_and_not_ranked(browser: Browser, site: Callable[..., Path]) -> None:
    browser.open(site([*study(), *(cell("fsnl", "Food", 8, seed, 0.9) for seed in (1, 2, 3))]).as_uri())
    choose(browser, "metric", "oop_top1")
    choose(browser, "shots", "")
    cells = "[...document.querySelectorAll('#table tbody tr')].map(r => [...r.children].map(c => c.textContent))"
    (food,) = [row for row in browser.run(cells) if row[2] == "8"]
    assert (food[0], food[3]) == ("–", "90.0 (1 of 3)")
    panels = texts(browser, "#shots-panels figcaption")
    dots = "[...document.querySelectorAll('#shots-panels figure')].map(f => f.querySelectorAll('.dot').length)"
    drawn = dict(zip(panels, browser.run(dots), strict=True))
    assert drawn["Food"] == drawn["mean over domains"] + 2, (
        "Food has the row of Food alone, and one with a hole elsewhere"
    )
    assert "rows over the same domains only" in texts(browser, "#shots-note")[0]


def test_filters_show_matching_rows_and_count(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert texts(browser, "#count") == ["3 of 5 rows"]
    choose(browser, "shots", "16")
    assert browser.run(ORDER) == ["fsnl", "zero_shot"]
    browser.run("document.getElementById('by-text').focus()")
    browser.type("ZERO")
    browser.wait(f"{ORDER}.length === 1")
    assert browser.run(ORDER) == ["zero_shot"]
    browser.type(" nothing has this")
    browser.wait("document.querySelector('#table .none') !== null")
    assert texts(browser, "#count") == ["0 of 5 rows"]
    browser.run("document.getElementById('reset').click()")
    assert texts(browser, "#count") == ["3 of 5 rows"]
    browser.run("document.getElementById('by-verified').click()")
    assert texts(browser, "#count") == ["0 of 5 rows"]


def test_rows_of_different_protocols_and_data_never_share_a_table(browser: Browser, site: Callable[..., Path]) -> None:
    other = grid("elsewhere", 4, 0.3, protocol="paper-2025")
    third = grid("third", 4, 0.3, dataset={"name": "laion-beyond-400m"})
    browser.open(site([*study(), *other, *third]).as_uri())
    settings = browser.run("[...document.getElementById('by-setting').options].map(o => o.value)")
    shown = []
    for setting in settings:
        choose(browser, "setting", setting)
        choose(browser, "shots", "")
        shown.append(set(browser.run(ORDER)))
    assert sorted(map(sorted, shown)) == [["elsewhere"], ["fragile", "fsnl", "zero_shot"], ["third"]]


def test_a_setting_without_shots_has_its_own_metrics_and_ranks(browser: Browser, lab: Lab, tmp_path: Path) -> None:
    run(tmp_path, lab.domains, [Answering("best", 0.9, shots=0), Answering("zero_shot", 0.2, shots=0)])
    browser.open(build([tmp_path], tmp_path).as_uri())
    ranks = "[...document.querySelectorAll('#table tbody tr')].map(r => r.children[0].textContent)"
    choose(browser, "metric", "oop_top1")
    assert dict(zip(browser.run(ORDER), browser.run(ranks), strict=True)) == {"best": "1", "zero_shot": "2"}
    assert "no images per class" in texts(browser, "#table caption")[0]


def test_a_setting_offers_the_metrics_that_it_has(browser: Browser, site: Callable[..., Path]) -> None:
    clusters = [
        one.model_copy(update={"metrics": {"ip_cluster_acc": 0.4, "oop_cluster_acc": 0.3}, "per_class": {}})
        for one in grid("kmeans_naming", 0, 0.3, protocol="clustering")
    ]
    browser.open(site([*study(), *clusters]).as_uri())
    choose(browser, "setting", '["clustering","beyond-mini"]')
    assert browser.run("document.getElementById('by-metric').value") == "oop_cluster_acc"
    heads = texts(browser, "#table thead tr:last-child th")
    assert heads == ["Rank", "Method", "Shots", "OOP clusters", "IP clusters", *("Animals", "Food", "Plants")]
    assert "–" not in texts(browser, "#table tbody td.figure")


def test_needs_are_a_filter(browser: Browser, site: Callable[..., Path]) -> None:
    free = grid("free", 0, 0.2, method={"needs": ()})
    captions = grid("captions", 4, 0.3, method={"needs": ("support", "captions")})
    browser.open(site([*free, *captions, *grid("shots", 4, 0.4)]).as_uri())
    choose(browser, "needs", "captions")
    assert browser.run(ORDER) == ["captions"]
    choose(browser, "needs", "-")
    assert browser.run(ORDER) == ["free"]


def test_row_details_show_provenance(browser: Browser, page: Path) -> None:
    row = next(r for r in board(study()).rows if r.method == "fsnl" and r.shots == 4)
    browser.open(page.as_uri())
    browser.run(f"document.querySelector('.open[data-row=\"{row.id}\"]').click()")
    text = browser.run("document.getElementById('row').textContent")
    assert browser.run("document.getElementById('row').open")
    assert f"harness reproduce 'leaderboard.json#{row.id}'" in text
    assert "harness evaluate --plugin fsnl --protocol clean-v1 --domain Animals,Food,Plants_Fugi --shots 4" in text
    record = row.model_dump(mode="json")
    preprocessing = record["backbone_record"].pop("preprocessing")
    assert all(word in text for word in (preprocessing["interpolation"], preprocessing["resize_mode"]))
    values = [*record["versions"].values(), *record["backbone_record"].values(), row.device]
    values += [record["method_record"][key] for key in ("name", "distribution", "version", "code")]
    values += [data["fingerprint"] for data in record["data"].values()]
    values += [manifest for data in record["data"].values() for manifest in data["manifests"].values()]
    said = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    assert [value for value in said if value not in text] == []
    assert "lr0.01" in text
    assert texts(browser, ".classes li .value")[:4] == ["100.0", "42.0", "0.0", "no image"]


def test_row_shows_accuracy_by_frequency(browser: Browser, tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    every = [name for d in lab.domains.values() for scored in d.sheet.sides.values() for name in scored.names]
    annotated = annotate(lab, counted({name: 2**position - 1 for position, name in enumerate(every)}))
    row = next(row for row in annotated.rows if row.method == "fsnl")
    browser.open(f"{build([lab.out], tmp_path / 'site').as_uri()}#row={row.id}")
    assert browser.run("document.querySelectorAll('#frequency .dot').length") == len(every)
    said = browser.run("document.getElementById('row').textContent")
    assert "for ten times as many captions" in said
    first = sum(len(scored.names) for scored in lab.domains[sorted(lab.domains)[0]].sheet.sides.values())
    assert f"{2 ** (first - 1) - 1:,} captions mention it" in said


def test_row_has_a_link(browser: Browser, page: Path) -> None:
    row = next(r for r in board(study()).rows if r.method == "fragile")
    browser.open(f"{page.as_uri()}#row={row.id}")
    assert browser.run("document.getElementById('row').open")
    assert texts(browser, ".holes li") == ["Food, seed 2: error: out of memory"]
    browser.open(f"{page.as_uri()}#row=000000000000")
    assert not browser.run("document.getElementById('row').open")


HOSTILE = (
    '"><script>alert(1)</script>',
    "</script><script>window.broken=1</script>",
    "<!--<script>",
    "<img src=x onerror=window.broken=1>",
    "${1}$$",
)


def test_hostile_name_is_escaped(browser: Browser, site: Callable[..., Path]) -> None:
    cells = [
        c
        for i, name in enumerate(HOSTILE)
        for c in grid(
            name,
            4,
            0.2 + 0.05 * i,
            device=name,
            versions={name: name},
            method={"parameters": {name: name}},
        )
    ]
    browser.open(site(cells).as_uri())
    assert sorted(browser.run(ORDER)) == sorted(HOSTILE)
    for name in browser.run("[...document.querySelectorAll('.open')].map(b => b.dataset.row)"):
        browser.run(f"document.querySelector('.open[data-row=\"{name}\"]').click()")
        assert browser.run("document.getElementById('row-title').textContent").startswith(tuple(HOSTILE))
        browser.run("document.getElementById('close').click()")
    assert browser.run("window.broken") is None
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_a_method_looks_the_same_in_every_plot(browser: Browser, lab: Lab, tmp_path: Path) -> None:
    methods = [Answering("zero_shot", 0.3, shots=0), Answering("apt", 0.2)]
    run(tmp_path, lab.domains, [*methods, Answering("fsnl", 0.6, shots=1), Answering("fsnl", 0.8)])
    browser.open(build([tmp_path], tmp_path).as_uri())
    choose(browser, "metric", "oop_top1")
    legend = browser.run(
        "[...document.querySelectorAll('#shots-legend li')].map(e => [e.textContent, e.firstChild.classList[0]])"
    )
    assert dict(legend).keys() == {"apt", "fsnl", "zero_shot"}
    points = browser.run("[...document.querySelectorAll('#cost-chart g')].map(e => e.getAttribute('class'))")
    names = texts(browser, "#cost-chart .label")
    assert dict(zip(names, points, strict=True)) == dict(legend)


def test_only_the_pages_own_script_may_run(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.broken = 1'}))"
    )
    browser.run("fetch('https://example.org/').catch(() => window.refused = true)")
    assert browser.run("[window.broken, window.refused]") == [None, True]
    assert len(browser.errors) >= 2
    assert all("Content Security Policy" in error for error in browser.errors)
    browser.errors.clear()
    browser.requests[:] = [r for r in browser.requests if r.startswith("file:")]


@pytest.mark.slow
def test_thousand_rows_filter_quickly(browser: Browser, site: Callable[..., Path], record_property: Any) -> None:
    cells = [
        cell(f"method_{i:03d}", domain, shots, 1, ((i * 37 + shots) % 900) / 1000 + 0.001 * place)
        for i in range(125)
        for shots in range(1, 9)
        for place, domain in enumerate(DOMAINS)
    ]
    file = site(cells)
    start = time.perf_counter()
    browser.open(file.as_uri())
    opened = time.perf_counter() - start
    choose(browser, "shots", "")
    assert texts(browser, "#count") == ["1000 of 1000 rows"]
    assert browser.run("document.querySelectorAll('#table tbody tr').length") == 1000
    took = browser.run("""(() => {
      const begin = performance.now();
      state = document.getElementById('by-shots'); state.value = '2'; state.dispatchEvent(new Event('change'));
      document.body.offsetHeight;
      return performance.now() - begin;
    })()""")
    assert browser.run("document.querySelectorAll('#table tbody tr').length") == 125
    sort = browser.run("""(() => {
      const begin = performance.now();
      document.querySelector('[data-sort=name]').click();
      document.body.offsetHeight;
      return performance.now() - begin;
    })()""")
    assert browser.run(ORDER)[:2] == ["method_000", "method_001"]
    figures = {"size_kB": file.stat().st_size // 1000, "open_s": opened, "filter_ms": took, "sort_ms": sort}
    record_property("thousand_rows", figures)
    print(figures)


def test_a_figure_is_rounded_as_in_the_terminal(browser: Browser, site: Callable[..., Path]) -> None:
    # Halfway between two digits, just below halfway (twice rounded it would go up), and halfway but not exactly.
    values = (0.5925, 0.5975, 0.0025, 0.664496, 0.74954, 0.3345)
    for value in values:
        cells = [cell("fsnl", "Food", 4, 1, 0.1).model_copy(update={"metrics": {"oop_top1": value}})]
        browser.open(site(cells).as_uri())
        assert texts(browser, "#table tbody td.figure")[0] == f"{100 * value:.1f}", value
