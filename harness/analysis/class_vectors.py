"""The class vectors that a fitted method compares images with, read off its scores.

A method whose scores are ``s * x . w_k`` has them, whatever it learned: prompts, names, residuals or a linear head.
They are its scores of the axes of the feature space. The method runs in a process of its own, with the few-shot images
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from harness.backbones.backbone import Backbone, ResolvedBackbone
from harness.backbones.backbone import load as load_backbone
from harness.device import configure_determinism
from harness.errors import FixedVocabulary, HarnessError, MethodError, one_line
from harness.execution.executors import processes
from harness.execution.global_state import seeded_global_state
from harness.execution.jobs import JobFailure, Limits
from harness.execution.one_thread import one_thread_per_operation
from harness.method import Method
from harness.progress import Reporter
from harness.runner.array_files import ArrayFiles
from harness.runner.cell_input import CellInput
from harness.runner.chosen_method import make_method
from harness.runner.feature_provider import FeatureProvider
from harness.runner.fit import fit
from harness.runner.job import Job, cell_title
from harness.runner.method_processes import sandbox
from harness.runner.pack_images import ImagePacker
from harness.runner.plan import Plan
from harness.runner.predict import checked_encoding, checked_scores
from harness.runner.request import Request
from harness.runner.task_input import named_task
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary

TOLERANCE = 1e-3
"""Largest error of the scores of images, relative to the largest score, for them to count as linear."""

CHECKED = 64
"""OOP images whose scores are compared."""

REFUSED = b"!"
"""Before the reason, in place of vectors."""

NOT_LINEAR = "its scores are not linear in the image features, so it has no class vectors"


@dataclass(frozen=True)
class VectorInput:
    """What the process gets: a method with its task, images ``(m, d)`` to check it with, and the names to score."""

    cell: CellInput
    image: NDArray[np.float32]
    vocabularies: Mapping[str, Vocabulary]


class VectorWorker:
    """Fits methods, and reads off their class vectors."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def __call__(self, given: VectorInput) -> bytes:
        """The vectors ``(k, d)`` of each vocabulary that the method knows, as safetensors; or why it has none."""
        cell, device = given.cell, self._backbone.device
        (task,) = cell.tasks
        with one_thread_per_operation(device), seeded_global_state(cell.seed):
            try:
                method = make_method(cell.method)
                fit(method, cell.method.name, task.task(self._backbone), device)
                return save(dict(_vectors(method, given, device)))
            except HarnessError as error:
                return REFUSED + error.message.encode(errors="replace")


def _vectors(method: Method, given: VectorInput, device: torch.device) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The unit rows of each vocabulary.

    Raises:
        MethodError: the scores are not linear, or break the contract.
    """
    name, others = given.cell.method.name, torch.from_numpy(given.image).to(device)
    axes = torch.eye(others.shape[1], device=device)
    images = [checked_encoding(method, name, Images.of(rows)) for rows in (axes, others)]
    for side, vocabulary in given.vocabularies.items():
        try:
            vectors, found = (checked_scores(method, name, of_rows, vocabulary).float() for of_rows in images)
        except FixedVocabulary:
            continue
        if (found - others @ vectors).abs().max() > TOLERANCE * found.abs().max():
            raise MethodError(NOT_LINEAR)
        yield side, np.ascontiguousarray(torch.nn.functional.normalize(vectors.T, dim=1).cpu().numpy())


def make_vector_worker(resolved: ResolvedBackbone, unit_rows: bool, device: str) -> VectorWorker:
    """The worker of a process, which loads the backbone there."""
    where = torch.device(device)
    configure_determinism(where, resolved.record.precision)
    return VectorWorker(load_backbone(resolved, where, unit_rows))


def class_vectors(
    plan: Plan, jobs: Sequence[Job], request: Request, provider: FeatureProvider, report: Reporter
) -> dict[str, dict[str, NDArray[np.float32]] | str]:
    """Domain -> side -> the class vectors ``(k, d)`` that a method has there after ``fit``, or why it has none.

    Args:
        plan: of the request.
        jobs: one for each domain.
        request: the run.
        provider: of the plan; features are encoded.
        report: shows progress.
    """
    files = ArrayFiles.of_run(plan.cache)
    readable = {plan.resolved.weights, *(file for job in jobs for file in job.method.files)}
    allowed = replace(sandbox(request, plan.domains, readable), unlisted=(files.folder,))
    limits = Limits(1, sandbox=allowed, devices=(plan.device,))
    make_worker = partial(make_vector_worker, plan.resolved, plan.protocol.features.unit_rows)
    found: dict[str, dict[str, NDArray[np.float32]] | str] = {}
    with closing(files), report.stage("fitting methods", len(jobs), "fits") as advance:
        given = [_input(job, plan, provider, files) for job in jobs]
        for result in processes(given, make_worker, limits):
            job = jobs[result.number]
            found[job.spec.domain] = _read(job, result.value)
            advance(1)
    return found


def _input(job: Job, plan: Plan, provider: FeatureProvider, files: ArrayFiles) -> VectorInput:
    data = provider.domains[job.spec.domain]
    task, _ = named_task(job, plan.protocol.template, provider, ImagePacker(job, provider, files))
    image = provider.scored(job.spec.domain)["oop"].image[:, 0].float().cpu().numpy()
    drawn = np.random.default_rng(0).permutation(len(image))[:CHECKED]  # their own order could reveal labels
    vocabularies = {side: Vocabulary.of(data.noun, **{side: split.names}) for side, split in data.scored.items()}
    return VectorInput(CellInput(job.method.choice, job.spec.seed, (task,)), image[drawn], vocabularies)


def _read(job: Job, value: bytes | JobFailure) -> dict[str, NDArray[np.float32]] | str:
    if isinstance(value, JobFailure):
        return f"{cell_title(job.spec)}: {value.reason}"
    if value.startswith(REFUSED):
        return f"{cell_title(job.spec)}: {one_line(value[1:].decode(errors='replace'))}"
    try:
        return dict(load(value))
    except SafetensorError:
        return f"{cell_title(job.spec)} sent something that is not an answer"
