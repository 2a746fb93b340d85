"""ZSNL and FSNL on IP concepts of the miniature posed as OOP: what names tell is never destroyed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from harness.progress import NullReporter
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request

from ..plugins.tasks import classes

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="needs the source tree"),
]
IMPURE = {"style": 0.5, "noise": 1.0}
"""Images whose clusters are no better than zero-shot."""


@pytest.fixture(scope="module")
def worlds():
    sys.path.insert(0, str(ROOT))
    try:
        from scripts import posed_worlds
    finally:
        sys.path.remove(str(ROOT))
    return posed_worlds


@pytest.fixture(scope="module")
def provider():
    request = Request((MethodChoice("zero_shot"),), ("Animals", "Food", "Landmark"), (4,), (1,), device="cpu")
    plan = make_plan(request, NullReporter())
    return FeatureProvider(plan.resolved, plan.device, plan.domains, plan.cache, 2)


def leads(worlds, provider, domain, level, method, baseline, shots=0, **images):
    """Mean lead of a method over another in percent and its standard error, over names and three seeds."""
    noun, rows = provider.domains[domain].noun, []
    for seed in range(3):
        world = worlds.pose(provider, domain, level, seed=seed, **images)
        right = [
            worlds.right(each.fit(worlds.task(world, provider.backbone, noun, shots, seed)), world, noun).float()
            for each in (method, baseline)
        ]
        apart = right[0] - right[1]
        rows += [float(apart[world.label == y].mean()) for y in range(len(world.names))]
    found = 100 * torch.tensor(rows)
    return float(found.mean()), float(found.std()) / len(found) ** 0.5


@pytest.mark.parametrize("images", [{}, IMPURE], ids=["pure", "impure"])
@pytest.mark.parametrize("level", ["known", "one word", "opaque", "misleading"])
@pytest.mark.parametrize("domain", ["Animals", "Landmark"])
def test_zsnl_is_never_below_zero_shot(worlds, provider, domain, level, images):
    mean, error = leads(worlds, provider, domain, level, classes()["zsnl"](), classes()["zero_shot"](), **images)
    assert mean + 2 * error > 0


@pytest.mark.parametrize(("other", "domain"), [("zero_shot", "Food"), ("transclip", "Landmark")])
def test_zsnl_is_above_other_methods_where_names_are_known(worlds, provider, other, domain):
    mean, error = leads(worlds, provider, domain, "known", classes()["zsnl"](), classes()[other]())
    assert mean - 2 * error > 0


@pytest.mark.parametrize("shots", [1, 4])
def test_fsnl_holds_known_names_and_still_learns_opaque_ones(worlds, provider, shots):
    fsnl, zero_shot = classes()["fsnl"], classes()["zero_shot"]()
    kept, error = leads(worlds, provider, "Landmark", "known", fsnl(), fsnl(anchor=0.0), shots, **IMPURE)
    assert kept + 2 * error > 0
    learned, error = leads(worlds, provider, "Landmark", "opaque", fsnl(), zero_shot, shots)
    assert learned - 2 * error > 20
