"""Small made-up records and models for tests, and hypothesis strategies of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st

from harness.metrics.built_in import BUILT_IN
from harness.metrics.compute import compute_metrics
from harness.metrics.prediction_kinds import PREDICTIONS
from harness.miniature import model as miniature
from harness.types.cell import (
    BackboneRecord,
    Cell,
    Cost,
    DatasetRecord,
    Failure,
    MethodRecord,
    Preprocessing,
    Spec,
)
from harness.types.split import Item, Part, Side, Split

few = settings(max_examples=25, deadline=None)
"""Enough examples for small domains of values; no clock on a shared machine."""


def sha(text: str) -> str:
    """A digest that belongs to a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_split(
    labels: Sequence[int],
    names: Sequence[str] | None = None,
    part: Part = "train",
    domain: str = "Animals",
    side: Side = "oop",
    folder: Path = Path("data"),
) -> Split:
    """A split with one image per given label, in that order."""
    names = names if names is not None else [f"name {i}" for i in range(max(labels, default=-1) + 1)]
    items = tuple(Item(f"images/{names[y]}/{part}-{i:03d}.jpg", y) for i, y in enumerate(labels))
    return Split(domain, side, part, tuple(names), items, folder)


def make_preprocessing(**changes: Any) -> Preprocessing:
    """The miniature's, with changes."""
    return Preprocessing(**{**miniature.PREPROCESSING, **changes})


def make_spec(**changes: Any) -> Spec:
    """A spec; ``method``, ``backbone`` and ``dataset`` take the changes of their own record as a dict."""
    dataset = {
        "name": "beyond-mini",
        "folders": ("Animals6_OOP", "Animals3_IP"),
        "fingerprint": sha("data"),
    } | changes.pop("dataset", {})
    backbone = {
        "architecture": "beyond-mini",
        "pretrained": "beyond-mini",
        "weights_sha256": sha("weights"),
        "corpus": "beyond-mini",
        "quick_gelu": "ok",
        "config": sha("config"),
        "preprocessing": make_preprocessing(),
        "preprocessing_source": "published",
        "precision": "fp32",
    } | changes.pop("backbone", {})
    method = {
        "name": "fsnl",
        "distribution": "laion-beyond-harness",
        "version": "0.1.0",
        "code": sha("code"),
        "parameters": {"lr": 0.01},
        "needs": ("support",),
    } | changes.pop("method", {})
    values: dict[str, Any] = {
        "protocol": "clean-v1",
        "dataset": DatasetRecord(**dataset),
        "domain": "Animals",
        "backbone": BackboneRecord(**backbone),
        "method": MethodRecord(**method),
        "shots": 4,
        "seed": 1,
        "manifest": sha("manifest"),
        "device": "cpu (x86_64)",
        "versions": {"harness": "0.1.0", "torch": "2.5.0"},
    }
    return Spec(**(values | changes))


def make_cell(value: float = 0.5, failure: Failure | None = None, **changes: Any) -> Cell:
    """A cell whose metrics are all ``value``, or a failed one."""
    spec = make_spec(**changes)
    if failure is not None:
        return Cell(spec=spec, failure=failure)
    cost = Cost(fit_seconds=1.5, score_seconds=0.25, trainable=128)
    return Cell(spec=spec, metrics=dict.fromkeys(BUILT_IN, value), images={"oop": 10, "ip": 20}, cost=cost)


def metrics_of(*kinds: str) -> set[str]:
    """The metrics that a cell with these kinds of predictions has."""
    return {name for name, metric in BUILT_IN.items() if set(metric.needs) <= set(kinds)}


CLUSTERS = ("pool_cluster", "cluster_name", *(key for key, kind in PREDICTIONS.items() if kind.holds == "clusters"))
NAMING = metrics_of(*(key for key in PREDICTIONS if key not in CLUSTERS))
ONLY_OOP = metrics_of("oop", "oop_confidence")
POOL = metrics_of("pool_cluster", "cluster_name")
CLUSTERING = metrics_of("oop_cluster", "ip_cluster")
MIXED = metrics_of("joint_oop_cluster", "joint_ip_cluster")


def discovery_metrics(cluster: Any, name: Any, label: Any) -> dict[str, float]:
    """The metrics of named clusters of a pool."""
    return compute_metrics({"pool_cluster": cluster, "cluster_name": name}, {"pool": label}, {})


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
fractions = st.floats(0, 1, allow_nan=False)
colours = st.floats(0.001, 1, allow_nan=False)
sizes = st.integers(1, 1024)
seconds = st.floats(0, 1e6, allow_nan=False)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
parameter_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)

specs = st.builds(
    Spec,
    protocol=st.sampled_from(["clean-v1", "paper-2025"]),
    dataset=st.builds(
        DatasetRecord,
        name=words,
        folders=st.lists(words, max_size=2).map(tuple),
        fingerprint=digests,
    ),
    domain=words,
    backbone=st.builds(
        BackboneRecord,
        architecture=words,
        pretrained=words,
        weights_sha256=digests,
        corpus=words,
        quick_gelu=st.sampled_from(["ok", "unchecked"]),
        config=digests,
        preprocessing=st.builds(
            Preprocessing,
            size=st.tuples(sizes, sizes),
            mode=st.just("RGB"),
            mean=st.tuples(colours, colours, colours),
            std=st.tuples(colours, colours, colours),
            interpolation=st.sampled_from(["bicubic", "bilinear"]),
            resize_mode=st.sampled_from(["shortest", "longest", "squash"]),
            fill_color=st.integers(0, 255),
        ),
        preprocessing_source=st.sampled_from(["published", "model folder", "plugin", "stated", "unchecked"]),
        precision=st.sampled_from(["fp32", "bf16", "fp16"]),
    ),
    method=st.builds(
        MethodRecord,
        name=words,
        distribution=words,
        version=words,
        code=digests,
        parameters=st.dictionaries(words, parameter_values, max_size=3),
        needs=st.lists(st.sampled_from(["support", "captions", "validation"]), unique=True).map(tuple),
    ),
    shots=st.integers(0, 16),
    seed=st.integers(0, 2**40),
    manifest=st.none() | digests,
    device=words,
    versions=st.dictionaries(words, words, max_size=3),
)

failures = st.builds(Failure, kind=st.sampled_from(["error", "not applicable"]), reason=words)

costs = st.builds(Cost, fit_seconds=seconds, score_seconds=seconds, trainable=st.integers(0, 2**60))

cells = st.builds(
    Cell,
    spec=specs,
    metrics=st.dictionaries(st.sampled_from(list(BUILT_IN)), fractions),
    images=st.dictionaries(st.sampled_from(["oop", "ip"]), st.integers(0, 10**6)),
    unreadable=st.lists(words, max_size=2).map(tuple),
    failure=st.none() | failures,
    cost=st.none() | costs,
)


def unit_rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """n random unit rows."""
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)
