"""Provenance: the versions of everything that numbers depend on, recorded in every cell.

The harness's own version includes a digest of its code, so that a changed harness never reuses older results.
Every file of the package counts except those in ``NEUTRAL``, so a new file counts by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import harness
from harness.backbones.backbone import ResolvedBackbone
from harness.files import content_digest, walk_files
from harness.matching import native
from harness.registry import Plugin, plugin_code

NEUTRAL = (
    *(
        "analysis",
        "cli",
        "conformance",
        "leaderboard",
        "plots",
        "site",
        "verification",
        "hub",
        "loggers",
        "observer.py",
    ),  # they read cells and compute none
    "miniature",  # a data set and weights: a cell records the sha256 of both
    *("registry", "hookspecs.py"),  # they find plugins: a cell records the code that they found
    "corpus",  # facts about names, which are added to rows
    *("errors.py", "progress.py"),  # messages
    *("__init__.py", "__main__.py"),  # entry points
)
"""Folders and files of the package that no number of a cell depends on."""

LIBRARIES = ("torch", "torchvision", "open_clip_torch", "numpy", "scipy", "scikit-learn", "pillow")
"""What the harness and its own methods compute with."""


def versions(resolved: ResolvedBackbone, **plugins: Sequence[Plugin[Any] | None]) -> dict[str, str]:
    """Versions of the harness, of the libraries, and of the plugins behind a backbone, a protocol and metrics.

    Args:
        resolved: the backbone.
        plugins: by kind; None for what is built in.
    """
    found = harness_versions() | plugin_code.versions(resolved.libraries)
    for kind, offered in plugins.items():
        for plugin in filter(None, offered):
            found |= {f"{kind} {plugin.name}": plugin.origin.edition, **plugin.origin.requirements}
    return found


@cache
def harness_versions() -> dict[str, str]:
    """Versions of the harness, with digests of its code and of its compiled module, and of its libraries."""
    code, csrc = content_digest(deciding_files()), native.sources()
    own = {"harness": f"{harness.__version__}+{code[:12]}"} | ({"csrc": csrc[:12]} if csrc else {})
    return own | plugin_code.versions(LIBRARIES)


def deciding_files() -> list[tuple[str, Path]]:
    """(name, path) of the source files of the package that numbers depend on."""
    files = walk_files(Path(harness.__file__).parent)
    return [(name, path) for name, path in files if path.suffix == ".py" and name.partition("/")[0] not in NEUTRAL]
