"""A cell that is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.backbones.no_text import no_text_reason
from harness.progress import pluralize
from harness.protocols import Scoring
from harness.runner.chosen_method import ChosenMethod
from harness.types.cell import Spec
from harness.types.manifest import Manifest
from harness.types.split import Part, TrainOn
from harness.types.task import Pool


@dataclass(frozen=True, slots=True)  # there may be 100,000
class Job:
    """A cell to run: its spec, its few-shot draw, its method, and sentences of names for a method that needs them."""

    spec: Spec
    manifest: Manifest | None
    method: ChosenMethod
    scoring: Scoring = "names"
    train_on: TrainOn = "oop"
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def not_applicable(self) -> str | None:
        """Why it has no value, whatever its method would answer: only open_clip's models have what it needs."""
        backbone, method = self.spec.backbone, self.method
        if not backbone.has_text and method.text:
            return f"{no_text_reason(backbone.architecture)}, and {self.spec.method.name} needs one"
        towers = [need for need in ("preprojection", "tokens", "model") if method.needs.includes(need)]
        if not backbone.has_text and towers:
            return f"{backbone.architecture} is no open_clip model, and {self.spec.method.name} needs its {towers[0]}"
        return None

    @property
    def draws(self) -> tuple[tuple[Part, int], ...]:
        """The parts of the draw that the cell reads, with the number of views of each."""
        return tuple(self.method.parts_read().items()) if self.manifest is not None else ()

    @property
    def pools(self) -> tuple[Pool | Literal["ip"], ...]:
        """The pools of images that the cell reads; clusters are made of the scored images."""
        needs, scoring = self.method.needs, self.scoring
        pools: tuple[Pool | Literal["ip"], ...] = (self.method.pool,) if needs.unlabeled and scoring == "names" else ()
        return (*pools, "ip") if needs.ip and scoring != "clusters" else pools


def cell_title(spec: Spec) -> str:
    """A cell in words: ``fsnl on Food, 4 shots, seed 1``; without shots or seed where it depends on none."""
    shots = f", {pluralize(spec.shots, 'shots')}" if spec.shots else ""
    return f"{spec.method.name} on {spec.domain}{shots}" + ("" if spec.seedless else f", seed {spec.seed}")
