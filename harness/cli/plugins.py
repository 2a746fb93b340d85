"""``harness plugins``: what is installed, read without importing it."""

from __future__ import annotations

import json as json_format

from harness import registry
from harness.catalogue import describe
from harness.cli import console


def plugins(json: bool, strict: bool) -> int:
    """List methods; with ``strict`` import every plugin and return 1 if one is broken."""
    described = [line for source, _ in registry.installed() for line in describe(source)]
    broken = registry.load().broken if strict else []
    if json:
        document = {
            "plugins": [line.__dict__ for line in described],
            "broken": [{**b.source.__dict__, "reason": b.reason} for b in broken],
        }
        print(json_format.dumps(document, indent=1))
        return 1 if broken else 0
    rows = [(d.method, d.needs, f"{d.distribution} {d.version}", d.summary) for d in described]
    console.out().print(console.table("", ("method", "needs", "distribution", "what it is"), rows, left=4))
    for culprit in broken:
        console.err().print(f"broken: {culprit}", style="red", markup=False)
    return 1 if broken else 0
