"""What tests do with a page, and where they look."""

from __future__ import annotations

from .chromium import Browser

ORDER = "[...document.querySelectorAll('#table tbody .open')].map(b => b.textContent)"
"""The names in the table, from top to bottom."""


def choose(browser: Browser, name: str, value: str) -> None:
    browser.run(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('change')); }})(document.getElementById('by-{name}'))"
    )


def texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.run(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")
    return found
