"""One cell: features -> task -> fit -> scores -> metrics. The straight line of the harness."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.errors import FixedVocabulary, HarnessError, MethodError
from harness.method import Method
from harness.metrics import h_mean, top1
from harness.prompts import Template
from harness.runner.bench import Bench
from harness.types.cell import Cell, Cost, Failure, Spec
from harness.types.features import Features
from harness.types.manifest import Manifest
from harness.types.task import Support, Task
from harness.types.vocabulary import Vocabulary

Indices = NDArray[np.int64]

CHUNK = 8192
"""Images that are scored at once."""


def run_cell(spec: Spec, manifest: Manifest | None, method: Method, template: Template, bench: Bench) -> Cell:
    """Run one cell; whatever the method does wrong becomes the cell's failure."""
    data = bench.domains[spec.domain]
    method = replace(method)  # type: ignore[type-var]  # fresh: nothing learned in an earlier cell is left
    bench.backbone.text.forget()
    try:
        with torch.random.fork_rng(devices=[bench.device] if bench.device.type == "cuda" else []):
            torch.manual_seed(spec.seed)  # a method that forgets task.generator is still repeatable
            scored = bench.scored(spec.domain)
            task, lost = pose(spec, manifest, method, template, bench)
            begin = time.perf_counter()
            fitted = method.fit(task)
            fitted_at = time.perf_counter()
            if fitted is not method:
                raise MethodError(f"{spec.method.name}.fit returned {type(fitted).__name__}; fit must return self")
            names_oop = data.oop["test"].names
            names_ip = data.ip["test"].names if data.ip is not None and "ip" in scored else ()
            metrics = score(method, spec.method.name, scored, names_oop, names_ip, data.hint)
            cost = Cost(
                fit_seconds=fitted_at - begin,
                score_seconds=time.perf_counter() - fitted_at,
                trainable=method.trainable(),
            )
    except FixedVocabulary as answer:
        return Cell(spec=spec, failure=Failure(kind="not applicable", reason=answer.message))
    except HarnessError as error:
        return Cell(spec=spec, failure=Failure(kind="error", reason=error.message))
    except Exception as error:  # a method is foreign code
        reason = f"{spec.method.name} raised {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Cell(spec=spec, failure=Failure(kind="error", reason=reason))
    unreadable = {path for features in scored.values() for path in features.unreadable} | set(lost)
    return Cell(
        spec=spec,
        metrics=metrics,
        images={side: len(features.label) for side, features in scored.items()},
        unreadable=tuple(sorted(unreadable)),
        cost=cost,
    )


def pose(
    spec: Spec, manifest: Manifest | None, method: Method, template: Template, bench: Bench
) -> tuple[Task, list[str]]:
    """What the method may see, and the drawn images that could not be read."""
    data, needs = bench.domains[spec.domain], method.needs
    generator = torch.Generator(bench.device)
    generator.manual_seed(int(hashlib.sha256(f"{spec.domain}/{spec.shots}/{spec.seed}".encode()).hexdigest()[:15], 16))
    task = Task(
        names=data.oop["train"].names,
        hint=data.hint,
        text=bench.backbone.text,
        logit_scale=bench.backbone.logit_scale,
        generator=generator,
        device=bench.device,
        template=template,
        shots=spec.shots,
    )
    lost: list[str] = []
    if manifest is None:
        return task, lost
    captions = {item.path: item.caption for item in data.oop["train"].items}
    given: dict[str, Support] = {}
    for part, need, views in (("train", needs.support or needs.captions, method.views), ("val", needs.validation, 1)):
        if not need:
            continue
        picks = manifest.of_part(part)  # type: ignore[arg-type]
        features, readable = bench.drawn(spec.domain, picks, views)
        lost += features.unreadable
        texts = tuple(captions.get(picks[i].path) for i in readable) if needs.captions and part == "train" else None
        given[part] = Support(features.image, features.label, texts)
    return replace(task, _support=given.get("train"), _validation=given.get("val")), lost


def score(
    method: Method, name: str, scored: dict[str, Features], oop: tuple[str, ...], ip: tuple[str, ...], hint: str
) -> dict[str, float]:
    """All metrics of a fitted method: OOP and IP images in their own vocabulary, then both in the joint one."""

    def answers(side: str, vocabulary: Vocabulary, first: int = 0) -> tuple[Indices, Indices]:
        label = scored[side].label.cpu().numpy() + first
        return predict(method, name, scored[side].image[:, 0], vocabulary), label

    values = {"oop_top1": top1(*answers("oop", Vocabulary.of(hint, oop=oop)))}
    if not ip:
        return values
    values["ip_top1"] = top1(*answers("ip", Vocabulary.of(hint, ip=ip)))
    values["h_mean"] = h_mean(values["oop_top1"], values["ip_top1"])
    vocabulary = Vocabulary.of(hint, oop=oop, ip=ip)
    joint = [answers("oop", vocabulary), answers("ip", vocabulary, first=len(oop))]
    values["joint_oop_top1"], values["joint_ip_top1"] = (top1(*side) for side in joint)
    values["joint_h_mean"] = h_mean(values["joint_oop_top1"], values["joint_ip_top1"])
    values["joint_top1"] = top1(*(np.concatenate(both) for both in zip(*joint, strict=True)))
    return values


def predict(method: Method, name: str, image: Tensor, vocabulary: Vocabulary) -> Indices:
    """The best-scored column of every image ``(n,)``; ties go to the lowest column.

    Raises:
        MethodError: scores of a wrong type or shape, or that are not finite.
    """
    best = []
    for chunk in torch.split(image, CHUNK):
        with torch.no_grad():
            scores = method.scores(chunk.clone(), vocabulary)  # a method may write into what it is given
        wanted = (len(chunk), len(vocabulary))
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            kind = str(scores.dtype) if isinstance(scores, Tensor) else type(scores).__name__
            raise MethodError(f"{name}.scores returned {kind}; scores must be a floating-point tensor")
        if tuple(scores.shape) != wanted:
            raise MethodError(
                f"{name}.scores returned {tuple(scores.shape)}; scores must be {wanted}: one row per image, "
                "one column per name"
            )
        if not bool(torch.isfinite(scores).all()):
            raise MethodError(f"{name}.scores returned NaN or infinity")
        best.append(scores.argmax(dim=1).cpu().numpy())
    return np.concatenate(best).astype(np.int64)
