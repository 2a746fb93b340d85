"""One cell: features -> task -> fit -> scores -> metrics. The straight line of the harness."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import replace
from typing import Any

import torch

from harness.errors import FixedVocabulary, HarnessError, MethodError
from harness.leaderboard.predictions import digest, pack
from harness.method import Method
from harness.metrics import judge, judge_discovery
from harness.prompts import Template
from harness.runner.bench import Bench
from harness.runner.memory import peaks, start_measuring
from harness.runner.scoring import ask, reference
from harness.types.cell import Cell, Cost, Failure, Spec
from harness.types.manifest import Manifest
from harness.types.task import Support, Task

LOG = logging.getLogger(__name__)
"""Where a failing method's traceback goes; nobody listens unless the cell runs in a process of its own."""


def run_cell(spec: Spec, manifest: Manifest | None, method: Method, template: Template, bench: Bench) -> Cell:
    """Run one cell; whatever the method does wrong becomes the cell's failure."""
    data = bench.domains[spec.domain]
    method = replace(method)  # type: ignore[type-var]  # fresh: nothing learned in an earlier cell is left
    bench.backbone.text.forget()
    try:
        with torch.random.fork_rng(devices=[bench.device] if bench.device.type == "cuda" else []):
            start_measuring(bench.device)
            torch.manual_seed(spec.seed)  # a method that forgets task.generator is still repeatable
            scored = bench.scored(spec.domain)
            task, lost = pose(spec, manifest, method, template, bench)
            begin = time.perf_counter()
            fitted = method.fit(task)
            fitted_at = time.perf_counter()
            if fitted is not method:
                raise MethodError(f"{spec.method.name}.fit returned {type(fitted).__name__}; fit must return self")
            names = {"oop": data.oop["test"].names, "ip": data.ip["test"].names if data.ip is not None else ()}
            outcome = _plain(method.outcome(), spec.method.name)
            found = _discovered(spec, method, bench)
            before = reference(task, scored, names)
            answers = ask(method, spec.method.name, scored, names, data.hint)
            label = {side: features.label.cpu().numpy() for side, features in scored.items()}
            metrics, per_class = judge(answers.predicted, label, {side: len(n) for side, n in names.items()}, before)
            host, gpu = peaks(bench.device)
            cost = Cost(
                fit_seconds=fitted_at - begin,
                score_seconds=time.perf_counter() - fitted_at,
                trainable=method.trainable(),
                peak_host_bytes=host,
                peak_gpu_bytes=gpu,
            )
    except FixedVocabulary as answer:
        return Cell(spec=spec, failure=Failure(kind="not applicable", reason=answer.message))
    except HarnessError as error:
        LOG.info("%s failed", spec.method.name, exc_info=True)
        return Cell(spec=spec, failure=Failure(kind="error", reason=error.message))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a method is foreign code, and may even call sys.exit
        LOG.info("%s failed", spec.method.name, exc_info=True)
        reason = f"{spec.method.name} raised {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Cell(spec=spec, failure=Failure(kind="error", reason=reason))
    kept = dict(answers.predicted)
    if before is not None and "ip" in kept:
        kept["reference"] = before
    content = pack(kept)
    unreadable = {path for features in scored.values() for path in features.unreadable} | set(lost)
    return Cell(
        spec=spec,
        metrics=metrics,
        per_class=per_class,
        not_applicable=answers.not_applicable,
        images={side: len(features.label) for side, features in scored.items()},
        discovery=found,
        outcome=outcome,
        unreadable=tuple(sorted(unreadable)),
        revision=data.revision,
        predictions=digest(content),
        cost=cost,
        answers=content,
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
    if needs.unlabeled:
        pool = bench.pool(spec.domain, method.pool)
        task = replace(task, _unlabeled=pool.image[:, 0].clone())  # the method may write into it
        lost += pool.unreadable
    if needs.ip:
        known = bench.pool(spec.domain, "ip")
        task = replace(task, _ip=Support(known.image.clone(), known.label.clone()))
        lost += known.unreadable
    if needs.clusters:
        of_pool = data.oop["train" if method.pool == "train-unlabeled" else "test"]
        task = replace(task, _clusters=len({item.label for item in of_pool.items}))
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


def _plain(outcome: Any, name: str) -> dict[str, Any]:
    """What a method tells of its fit, as it will be read back."""
    try:
        plain = json.loads(json.dumps(outcome, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise MethodError(f"{name}.outcome cannot be kept as JSON: {error}", "return plain numbers and texts") from None
    if not isinstance(plain, dict):
        raise MethodError(f"{name}.outcome returned {type(outcome).__name__}; it must be a dictionary")
    return plain


def _discovered(spec: Spec, method: Method, bench: Bench) -> dict[str, float]:
    """What the clusters are worth that a method found in its pool; it saw none of these labels."""
    found = method.discovery()
    if found is None:
        return {}
    if not method.needs.unlabeled:
        raise MethodError(f"{spec.method.name} reports clusters of a pool that it did not declare as a need")
    label = bench.pool(spec.domain, method.pool).label
    try:
        return judge_discovery(found.cluster.cpu().numpy(), found.name.cpu().numpy(), label.cpu().numpy())
    except (ValueError, IndexError) as error:
        raise MethodError(f"{spec.method.name}.discovery: {error}", "one cluster per image of task.unlabeled") from None
