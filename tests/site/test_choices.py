"""Choices of the reader: order, address and back button, panels, downloads, and what helps to scan the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard.records import records, to_csv
from harness.plots.looks import look
from harness.site import links
from harness.types.cell import Cell
from harness.types.paper import LAION_BEYOND

from ..plots.boards import board, grid
from .chromium import Browser
from .steps import ORDER, choose, texts

pytestmark = pytest.mark.usefixtures("quiet")

OWN: dict[str, Any] = {"distribution": "laion-beyond-harness"}


def scored(method: str, **metrics: float) -> list[Cell]:
    """A row's cells with other values of some metrics."""
    made = grid(method, 4, 0.3, method=OWN)
    return [one.model_copy(update={"metrics": {**one.metrics, **metrics}}) for one in made]


@pytest.fixture(scope="module")
def contest(site: Callable[..., Path]) -> Path:
    """Two methods of the harness, each better in one of two metrics, and zero-shot."""
    return site(
        [
            *scored("fsnl", oop_top1=0.9, h_mean=0.5),
            *scored("coop", oop_top1=0.1, h_mean=0.8),
            *grid("zero_shot", 0, 0.1, method=OWN),
        ]
    )


def hover(browser: Browser, selector: str) -> str:
    """The tooltip of an element."""
    browser.run(f"document.querySelector({selector!r}).dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))")
    assert browser.run("document.getElementById('tip').hidden") is False
    return str(browser.run("document.getElementById('tip').textContent"))


def test_order_follows_the_chosen_metric(browser: Browser, contest: Path) -> None:
    browser.open(contest.as_uri())
    assert browser.run(ORDER) == ["coop", "fsnl", "zero_shot"]
    choose(browser, "metric", "oop_top1")
    assert browser.run(ORDER)[0] == "fsnl"
    browser.run("document.querySelector('[data-sort=\"mean oop_top1\"]').click()")  # turned around
    assert browser.run(ORDER)[0] != "fsnl"
    choose(browser, "metric", "h_mean")
    assert browser.run(ORDER)[0] == "coop"
    browser.run("document.querySelector('[data-sort=name]').click()")
    choose(browser, "metric", "oop_top1")
    assert browser.run(ORDER) == ["coop", "fsnl", "zero_shot"]


@pytest.mark.slow
def test_address_holds_the_choices_and_the_back_button_undoes_them(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.run("location.hash") == ""
    choose(browser, "shots", "16")
    choose(browser, "metric", "oop_top1")
    browser.run("document.querySelector('[data-sort=\"domain Food\"]').click()")
    browser.run("document.getElementById('by-hide').click()")
    address = browser.run("location.href")
    assert address.endswith("#metric=oop_top1&shots=16&sort=domain+Food&hide=1")
    shown = browser.run("document.querySelector('#table').innerText")
    browser.open(address)
    assert browser.run("document.querySelector('#table').innerText") == shown
    assert browser.run("document.getElementById('by-shots').value") == "16"

    browser.run("document.getElementById('by-hide').click()")
    choose(browser, "shots", "")
    assert browser.run(f"{ORDER}.length") == 5
    browser.run("void setTimeout(() => history.back())")
    browser.wait(f"{ORDER}.length === 2")
    assert browser.run("document.getElementById('by-shots').value") == "16"
    browser.run("void setTimeout(() => history.back())")
    browser.wait("!document.getElementById('by-hide').checked")


@pytest.mark.slow
def test_back_button_closes_a_row_and_its_close_leaves_the_address(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    browser.run("document.querySelector('.open').click()")
    assert "#row=" in browser.run("location.href")
    browser.run("void setTimeout(() => history.back())")
    browser.wait("!document.getElementById('row').open")
    browser.run("document.querySelector('.open').click()")
    browser.run("document.getElementById('close').click()")
    browser.wait("location.hash === ''")


def test_unknown_words_in_the_address_change_nothing(browser: Browser, page: Path) -> None:
    browser.open(f"{page.as_uri()}#metric=nonsense&shots=99&backbone=x&sort=domain+Nowhere&protocol=a&data=b")
    assert browser.run(ORDER) == ["fsnl", "zero_shot", "fragile"]


def test_methods_have_the_colours_and_markers_of_the_figures(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    colour = "getComputedStyle(e.querySelector('.dot')).fill"
    for place, name in (("#table tbody tr", ".open"), ("#shots-legend li", "span")):
        found = browser.run(
            f"[...document.querySelectorAll('{place}')].map(e => [e.querySelector('{name}').textContent, {colour}])"
        )
        assert {method for method, _ in found} == {"fsnl", "zero_shot", "fragile"}
        for method, painted in found:
            own = look(method).colour if method != "zero_shot" else "#1b1d21"  # the ink of the page
            assert painted == "rgb({}, {}, {})".format(*bytes.fromhex(own[1:]))
    paths = browser.run("[...document.querySelectorAll('#table .badge path')].map(e => e.getAttribute('d'))")
    assert len(set(paths)) == len({look(method).marker for method in ("fsnl", "zero_shot", "fragile")})


def test_best_figure_of_each_column_is_marked(browser: Browser, contest: Path) -> None:
    browser.open(contest.as_uri())
    best = "[...document.querySelectorAll('#table tbody tr')].map(r => [...r.querySelectorAll('.best')].length)"
    # The mean and three domains of H-mean; OOP; three ties of IP and joint H-mean in both.
    assert browser.run(ORDER) == ["coop", "fsnl", "zero_shot"]
    coop, fsnl, zero_shot = browser.run(best)
    assert coop == fsnl + 3
    assert zero_shot == 0
    assert "best of the column" in hover(browser, "td.best")
    choose(browser, "shots", "")
    assert browser.run("document.querySelectorAll('#table .best').length") == 0, "rows of several shots do not compete"


def test_column_heads_explain_their_metric(browser: Browser, contest: Path) -> None:
    browser.open(contest.as_uri())
    assert hover(browser, '[data-sort="mean oop_top1"]') == "OOP images among OOP names"
    assert hover(browser, '[data-sort="domain Plants_Fugi"]') == "Plants_Fugi"


def test_bars_have_the_length_of_figures_and_a_tick_for_the_reference(browser: Browser, contest: Path) -> None:
    browser.open(contest.as_uri())
    first = "document.querySelector('td.chosen')"
    assert float(browser.run(f"{first}.style.getPropertyValue('--value')")) == pytest.approx(0.8)
    zero_shot = next(row for row in board(grid("zero_shot", 0, 0.1)).rows)
    tick = browser.run(f"getComputedStyle({first}).getPropertyValue('--reference')")
    assert float(tick) == pytest.approx(zero_shot.mean["h_mean"].mean)
    assert browser.run(f"getComputedStyle({first}).backgroundImage").count("linear-gradient") == 2


def test_links_lead_to_paper_data_and_code(browser: Browser, contest: Path) -> None:
    browser.open(contest.as_uri())
    hrefs = browser.run("[...document.querySelectorAll('#links a')].map(a => a.href)")
    assert hrefs == [value for key, value in links.benchmark().items() if key != "bibtex"]
    paper = "document.querySelector('tr:has([data-row]) .paper a')"
    assert browser.run(f"{paper}.href") == "https://arxiv.org/abs/2109.01134"
    assert browser.run(f"{paper}.rel") == "noopener noreferrer"
    assert hover(browser, ".paper a").startswith("Zhou et al. Learning to Prompt for Vision-Language Models. IJCV 2022")
    browser.run("document.querySelector('.open').click()")
    assert "Zhou et al., IJCV 2022" in texts(browser, "#row .facts a")


def test_rows_download_as_csv_and_their_papers_as_bibtex(browser: Browser, contest: Path, tmp_path: Path) -> None:
    browser.open(contest.as_uri())
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    found = {}
    for button, name in (("csv", "leaderboard.csv"), ("bibtex", "leaderboard.bib")):
        browser.run(f"document.getElementById('{button}').click()")
        found[name] = _arrived(browser, tmp_path / name)
    rows = board(
        [
            *scored("fsnl", oop_top1=0.9, h_mean=0.5),
            *scored("coop", oop_top1=0.1, h_mean=0.8),
            *grid("zero_shot", 0, 0.1, method=OWN),
        ]
    ).rows
    ours = {(line["method"], line["domain"]): line for line in csv.DictReader(io.StringIO(found["leaderboard.csv"]))}
    text = to_csv([record for row in rows for record in records(row)])
    theirs = {(line["method"], line["domain"]): line for line in csv.DictReader(io.StringIO(text))}
    assert ours.keys() == theirs.keys()
    for key, line in theirs.items():
        assert ours[key].keys() == line.keys()
        for column, value in line.items():
            try:
                assert float(ours[key][column]) == pytest.approx(float(value), abs=1e-7)
            except ValueError:
                assert ours[key][column] == value
    entries = [line for line in found["leaderboard.bib"].splitlines() if line.startswith("@")]
    assert LAION_BEYOND.bibtex in found["leaderboard.bib"]
    assert entries == ["@misc{chen2025reproducible,", "@misc{radford2021learning,", "@misc{zhou2022learning,"]


def _arrived(browser: Browser, file: Path) -> str:
    browser.wait(f"{str(file)!r} && new Promise(done => setTimeout(() => done(true), 50))")
    for _ in range(200):
        if file.exists():
            break
        browser.run("new Promise(done => setTimeout(done, 20))")
    return file.read_text(encoding="utf-8")


def test_panels_are_wide_and_domains_hidden_by_choice(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    wide = "document.querySelector('#shots-panels figure').offsetWidth"
    before = browser.run(wide)
    browser.run("document.getElementById('by-wide').click()")
    assert browser.run(wide) > 1.5 * before
    assert "Food" in texts(browser, "#table thead tr:last-child th")
    browser.run("document.getElementById('by-hide').click()")
    assert "Food" not in texts(browser, "#table thead tr:last-child th")


def test_plot_against_shots_always_has_zero_shot(browser: Browser, site: Callable[..., Path]) -> None:
    better = [cell for n in range(9) for shots in (1, 4) for cell in grid(f"m{n}", shots, 0.3 + 0.01 * n)]
    browser.open(site([*better, *grid("zero_shot", 0, 0.1)]).as_uri())
    assert texts(browser, "#shots-legend span")[-1] == "zero_shot"
    assert len(texts(browser, "#shots-legend span")) == 9


@pytest.mark.parametrize("dark", [False, True])
def test_phone_shows_the_table_first(browser: Browser, page: Path, dark: bool) -> None:
    browser.window(390, 844, dark)
    browser.open(page.as_uri())
    assert browser.run("document.querySelector('#table tbody').getBoundingClientRect().top") < 500
    assert not browser.run("document.getElementById('filter-box').open")
    assert "H-mean · 4 images per class" in texts(browser, "#chosen")
    assert browser.run("document.documentElement.scrollWidth") == 390
    browser.run("document.querySelector('#filter-box > summary').click()")
    assert browser.run("document.getElementById('by-metric').offsetParent !== null")
