"""Write the tables of methods: docs/methods.md, and the overview in README.md, from what is registered.

    python scripts/methods_page.py

Groups the built-in methods by what they need. Run it after a method is added, removed or described anew, reinstalled
with `pip install -e .`; `tests/scripts/test_methods_page.py` fails while the pages differ from the registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.files import write_atomic
from harness.method import Method
from harness.registry import load_all
from harness.registry.describe import describe

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "laion-beyond-harness"

GROUPS: Mapping[str, Callable[[type[Method]], bool]] = {
    "Names only": lambda m: not any(m.needs.declared()) and m.test_views == 1,
    "Sentences about names": lambda m: m.needs.declared() == ("texts",),
    "Views or a stream of the scored images": lambda m: m.needs.stream or m.test_views > 1,
    "An unlabeled pool": lambda m: m.needs.unlabeled and not m.needs.includes("support"),
    "An unlabeled pool and few-shot images": lambda m: m.needs.unlabeled,
    "Few-shot images and the model": lambda m: any(
        getattr(m.needs, need) for need in ("model", "pixels", "tokens", "preprojection")
    ),
    "Few-shot images": lambda m: m.needs.includes("support") or m.needs.includes("validation"),
    "Labelled IP images": lambda m: m.needs.ip,
    "Other": lambda m: True,
}
"""Title -> whether a method is in the group; it is in the first that fits."""

OVERVIEW = re.compile(r"(?<=\| given by default \| methods \|\n\|---\|---\|\n)(?:\|.*\n)+")
"""Rows of the table in README.md."""


def grouped() -> dict[str, list[dict[str, Any]]]:
    """The descriptions of the built-in methods by group, in order of their names; no empty group."""
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in GROUPS}
    for plugin in sorted(load_all("method")[0], key=lambda plugin: plugin.name):
        if plugin.origin.distribution == DISTRIBUTION:
            title = next(title for title, fits in GROUPS.items() if fits(plugin.value))
            found[title].append(describe("method", plugin))
    return {title: methods for title, methods in found.items() if methods}


def page(groups: Mapping[str, list[dict[str, Any]]]) -> str:
    """docs/methods.md."""
    parts = [
        "# Methods",
        "Made from the registry by `python scripts/methods_page.py`. `harness plugins show NAME` describes one in\n"
        "full, with its parameters and presets. Needs are those of the default parameters.",
    ]
    for title, methods in groups.items():
        rows = [f"| `{m['name']}` | {', '.join(m['needs']) or 'names only'} | {m['summary']} |" for m in methods]
        parts += [f"## {title}", "\n".join(["| method | needs | what it is |", "|---|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def overview(groups: Mapping[str, list[dict[str, Any]]]) -> str:
    """The rows of the README's table."""
    names = {title: ", ".join(f"`{m['name']}`" for m in methods) for title, methods in groups.items()}
    return "".join(f"| {title[0].lower()}{title[1:]} | {listed} |\n" for title, listed in names.items())


def main() -> None:
    """Write both pages."""
    groups, readme = grouped(), ROOT / "README.md"
    write_atomic(ROOT / "docs" / "methods.md", page(groups).encode())
    write_atomic(readme, OVERVIEW.sub(overview(groups), readme.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
