"""Links of the page: the benchmark's paper and data, and the papers and code of methods."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata

from harness import registry
from harness.datasets.hub import REPOSITORY
from harness.errors import PluginError
from harness.types.leaderboard import Row
from harness.types.paper import LAION_BEYOND, Paper

CODE = ("repository", "source", "source code", "code", "homepage")
"""Labels of a distribution's addresses that lead to its code, the best first."""


def benchmark() -> dict[str, str]:
    """Addresses of the paper, the data and the released code of LAION-Beyond, and how to cite it."""
    return {
        "paper": LAION_BEYOND.link,
        "data": f"https://huggingface.co/datasets/{REPOSITORY}",
        "released code": "https://github.com/M-HuangX/LAION-Beyond",
        "bibtex": LAION_BEYOND.bibtex,
    }


def methods(rows: Iterable[Row]) -> dict[str, dict[str, str]]:
    """Method -> its paper (``text``, ``citation``, ``link``, ``bibtex``) and the address of its ``code``.

    Known of methods whose distribution is installed; what a method or its distribution does not declare is left out.
    """
    known = {row.method: row.method_record.distribution for row in rows}
    found = {method: _paper(method, distribution) | _code(distribution) for method, distribution in known.items()}
    return {method: links for method, links in sorted(found.items()) if links}


def _paper(method: str, distribution: str) -> dict[str, str]:
    try:
        if registry.find("method", method).origin.distribution != distribution:
            return {}
        paper: Paper | None = registry.load("method", method).value.paper
    except PluginError:  # it is not installed, or broken
        return {}
    if paper is None:
        return {}
    return {"text": str(paper), "citation": paper.citation, "link": paper.link, "bibtex": paper.bibtex}


def _code(distribution: str) -> dict[str, str]:
    found = {}
    with suppress(PackageNotFoundError, ValueError):  # it is not installed, or has no name
        for entry in metadata(distribution).get_all("Project-URL") or ():
            label, _, address = entry.partition(", ")
            if label.lower() in CODE and re.fullmatch(r"https://[!-~]+", address):
                found[label.lower()] = address
    best = next((found[label] for label in CODE if label in found), None)
    return {} if best is None else {"code": best}
