"""Images and names of domains in the feature space of a backbone, as the analyses need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analysis.describability import Describability, describability
from harness.analysis.modality_gap import ModalityGap, modality_gap
from harness.analysis.name_familiarity import Correlation, correlation, familiarity
from harness.metrics.accuracy import per_class_top1
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import Plan

Reals = NDArray[np.float32]


class DomainSpace(NamedTuple):
    """One domain: of each side, OOP first, the images, their labels, the names, and the rows of their prompts.

    Attributes:
        domain: its name.
        image: side -> unit rows ``(n, d)``.
        label: side -> ``(n,)``.
        names: side -> k names.
        text: side -> unit rows ``(k, d)``.
    """

    domain: str
    image: dict[str, Reals]
    label: dict[str, NDArray[np.int64]]
    names: dict[str, tuple[str, ...]]
    text: dict[str, Reals]


def spaces(plan: Plan, provider: FeatureProvider) -> Iterator[DomainSpace]:
    """Every domain of a plan, whose features are encoded."""
    template, encode = plan.protocol.template, provider.backbone.text.encode
    for domain, data in plan.domains.items():
        scored = provider.scored(domain)
        names = {str(side): split.names for side, split in data.scored.items()}
        prompts = {side: [template.fill(name, data.noun) for name in own] for side, own in names.items()}
        yield DomainSpace(
            domain,
            {side: scored[side].image[:, 0].float().cpu().numpy() for side in names},
            {side: scored[side].label.cpu().numpy() for side in names},
            names,
            {side: encode(own).float().detach().cpu().numpy() for side, own in prompts.items()},
        )


class NamesReport(NamedTuple):
    """How names describe the images of a domain.

    Attributes:
        described: side -> zero-shot among own and all names.
        familiar: OOP name -> cosine to the nearest IP name; empty without IP names.
        correlated: familiarity with zero-shot accuracy among the OOP names.
    """

    described: dict[str, Describability]
    familiar: dict[str, float]
    correlated: Correlation | None


def report_names(found: Sequence[DomainSpace]) -> dict[str, NamesReport]:
    """Domain -> the report of its names among those of all the domains."""
    every = np.concatenate([space.text[side] for space in found for side in space.text])
    reports, first = {}, 0
    for space in found:
        last, start, described = first + sum(map(len, space.names.values())), first, {}
        for side, text in space.text.items():
            column = space.label[side] + start
            described[side] = describability(space.image[side], column, every, first, last)
            start += len(text)
        reports[space.domain] = NamesReport(described, *_familiar(space))
        first = last
    return reports


def _familiar(space: DomainSpace) -> tuple[dict[str, float], Correlation | None]:
    if "ip" not in space.text:
        return {}, None
    found = familiarity(space.text["oop"], space.text["ip"])
    predicted = (space.image["oop"] @ space.text["oop"].T).argmax(axis=1)
    accuracy = per_class_top1(predicted, space.label["oop"], len(found))
    return dict(zip(space.names["oop"], map(float, found), strict=True)), correlation(found, accuracy)


def report_gap(space: DomainSpace, learned: dict[str, Reals] | None = None) -> dict[str, ModalityGap]:
    """Side -> the modality gap of a domain, with the names' prompts or with learned class vectors."""
    names = space.text if learned is None else learned
    return {side: modality_gap(space.image[side], space.label[side], names[side]) for side in names}
