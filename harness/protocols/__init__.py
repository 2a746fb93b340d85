"""Protocols: which images are drawn and scored, and how. ``PROTOCOLS`` holds the built-in ones.

``clean-v1`` and ``paper-2025`` fit methods on the OOP side; their variants ``-ip`` and ``-both`` fit them on the IP
side or on both.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import unknown_name
from harness.protocols.clustering import Clustering, Clustering2025, DiscoveryProtocol
from harness.protocols.few_shot import CleanV1, KnownPicks, Paper2025, Superclass, draw
from harness.protocols.protocol import Picks, Protocol, Scoring
from harness.types.split import TrainOn

__all__ = ["PROTOCOLS", "CleanV1", "KnownPicks", "Paper2025", "Picks", "Protocol", "Scoring", "draw", "get_protocol"]

_OTHER_SIDES: tuple[TrainOn, ...] = ("ip", "both")
"""Further values of ``train_on``, each a variant of the few-shot protocols."""

PROTOCOLS: Mapping[str, Protocol] = {
    p.id: p
    for p in (
        *(CleanV1(), Paper2025(), Clustering(), Clustering2025(), DiscoveryProtocol(), Superclass()),
        *(CleanV1(f"clean-v1-{side}", side) for side in _OTHER_SIDES),
        *(Paper2025(f"paper-2025-{side}", train_on=side) for side in _OTHER_SIDES),
    )
}


def get_protocol(name: str, offered: Mapping[str, Protocol] | None = None) -> Protocol:
    """Look up a protocol by name, among the built-in ones and those of plugins.

    Raises:
        UserError: the name is unknown; the hint gives the closest one.
    """
    known = {**(offered or {}), **PROTOCOLS}
    if name not in known:
        raise unknown_name("protocol", name, known)
    return known[name]
