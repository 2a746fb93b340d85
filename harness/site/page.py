"""Render a payload as one HTML file with inline style, script and data.

Names from plugins and files reach the page as JSON only, and the script puts them into it as text, never as markup. A
content security policy names the style and the script by their hashes: nothing else can run, and nothing can be loaded
from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

from harness.plots.looks import COLOURS
from harness.site.payload import Payload

SCRIPTS = (
    *("dom.js", "data.js", "looks.js", "choices.js", "address.js", "filters.js", "tooltip.js"),
    *("cells.js", "chart.js", "gain.js", "columns.js", "table.js", "downloads.js", "shots.js", "cost.js"),
    *("published.js", "confusion.js", "classes.js", "dendromap.js", "frequency.js", "row.js", "main.js"),
)
"""The parts of the script, in page order."""

STYLES = ("style.css", "dendromap.css")
"""The parts of the style, in page order."""


def page(content: Payload) -> str:
    """The page; equal payloads give equal text."""
    style = "\n".join(map(_read, STYLES)) + _palette()
    script = '"use strict";\n(() => {\n' + "\n".join(_read(name) for name in SCRIPTS) + "})();\n"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return Template(_read("page.html")).substitute(
        policy=policy,
        style=style,
        script=script,
        table=as_json(content.table),
        details=as_json(content.details),
        fallback="\n".join(_fallback(content.table["rows"])),
    )


def _palette() -> str:
    """Classes of the colours of methods: those of the figures, and the colour of text for their black."""
    paints = {f"p{i}": colour for i, colour in enumerate(COLOURS)} | {"ink": "var(--ink)"}
    return "".join(f".{name} {{ --paint: {colour}; }}\n" for name, colour in paints.items())


def as_json(value: Any) -> str:
    """JSON escaped for a script element: it cannot end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # UTF-8 cannot encode lone surrogates.
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _fallback(rows: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Content of the page without JavaScript."""
    count = sum(1 for _ in rows)
    yield f"This page needs JavaScript to show its {count:,} rows."
    yield "The leaderboard file has the same figures; <code>harness leaderboard show</code> prints them."


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _read(name: str) -> str:
    return resources.files("harness.site").joinpath(name).read_text(encoding="utf-8")
