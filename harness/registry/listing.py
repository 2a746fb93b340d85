"""What a plugin offers, read from its source without importing it: so listing is quick, and nothing can break it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from harness.registry.entry_points import Broken, Origin, clashes
from harness.registry.source import Written, assigned, fault, written


@dataclass(frozen=True)
class Description:
    """One thing that a plugin offers; text that the source does not spell out is '?'.

    ``needs``, ``summary`` and ``paper`` are those of methods; other kinds have a summary only. An observer is called as
    its plugin is, and so is a plugin whose source does not tell what it offers.
    """

    name: str
    kind: str
    needs: str
    summary: str
    paper: str
    plugin: str
    module: str
    distribution: str
    version: str


def describe(source: Origin) -> list[Description]:
    """What a plugin's source registers; one line with '?' if that cannot be seen."""
    return [_description(source, offer) for offer in written(source.module) or [Written("?", "?", None)]]


def suspects(sources: Iterable[Origin]) -> list[Broken]:
    """The plugins that will not work, as far as their sources tell."""
    found: list[Broken] = []
    offers: list[tuple[str, str, Origin]] = []
    for source in sources:
        reason = fault(source.module)
        if reason is not None:
            found.append(Broken(source, reason))
            continue
        names = {(offer.kind, offer.name) for offer in written(source.module)}
        offers += [(kind, name, source) for kind, name in sorted(names) if name != "?"]
    return found + [culprit for _, culprit in clashes(offers)]


def _description(source: Origin, offer: Written) -> Description:
    needs, summary, paper = "?", "?", "?"
    if offer.kind not in ("method", "?"):
        needs, paper = "", ""
    if offer.cls is not None:
        summary = (ast.get_docstring(offer.cls) or "?").partition("\n")[0]
    if offer.cls is not None and offer.kind == "method":
        values = dict(assigned(offer.cls))
        inherits = not any(ast.unparse(base).rpartition(".")[2] == "Method" for base in offer.cls.bases)
        needs = _needs(values["needs"]) if "needs" in values else "?" if inherits else "names only"
        written_ = values.get("paper")
        paper = str(written_.value) if isinstance(written_, ast.Constant) else "?" if written_ or inherits else ""
    name = source.name if offer.kind in ("observer", "?") else offer.name
    where = (source.name, source.module, source.distribution, source.version)
    return Description(name, offer.kind, needs, summary, paper, *where)


def _needs(value: ast.expr) -> str:
    """The needs that ``Needs(support=True, ...)`` declares."""
    if not isinstance(value, ast.Call) or value.args:
        return "?"
    if not all(k.arg and isinstance(k.value, ast.Constant) for k in value.keywords):
        return "?"
    named = [k.arg for k in value.keywords if k.arg and isinstance(k.value, ast.Constant) and k.value.value]
    return ", ".join(named) or "names only"
