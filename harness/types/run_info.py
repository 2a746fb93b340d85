"""A record of what one run does, for observers."""

from __future__ import annotations

from harness.types.cell import BackboneRecord, MethodRecord, Record, Sha256


class RunInfo(Record):
    """What one ``harness evaluate`` runs, as far as it decides numbers, and how much of it is known already.

    Attributes:
        name: the time of its start (UTC) and four random digits, such as ``20260314-150926-9f3a``.
        methods: with their parameters.
        data: domain -> fingerprint of its data.
        versions: of the harness and the libraries that numbers depend on.
        cells: number of cells.
        known: how many of them are in the results folder already.
    """

    name: str
    protocol: str
    dataset: str
    data: dict[str, Sha256]
    backbone: BackboneRecord
    methods: tuple[MethodRecord, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    device: str
    versions: dict[str, str]
    cells: int
    known: int
