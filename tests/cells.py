"""Cells that are run in this process, and methods of tests that no distribution offers."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from torch import Tensor

from harness.execution.executors import here
from harness.method import Method
from harness.prompts import Template
from harness.runner.best_columns import BestColumns
from harness.runner.cell_input import Query
from harness.runner.chosen_method import ChosenMethod, make_method
from harness.runner.feature_provider import FeatureProvider
from harness.runner.image_input import ImageInput
from harness.runner.job import Job
from harness.runner.judge import Judge
from harness.runner.pack_images import ImagePacker
from harness.runner.predict import predict_all
from harness.runner.request import MethodChoice
from harness.runner.run_cell import CellWorker
from harness.runner.task_input import named_task
from harness.types.cell import Cell, MethodRecord
from harness.types.task import Task
from harness.types.vocabulary import Vocabulary


@dataclass(frozen=True)
class GivenMethod(ChosenMethod):
    """A method of a job that is an object of this process; its parameters may be anything."""

    given: Method | None = None


def chosen(method: Method, record: MethodRecord) -> ChosenMethod:
    """The method of a job, made of an object; its record is that of another one."""
    choice = MethodChoice(record.name)
    own = (method.needs, method.views, method.crop, method.pool, method.text)
    more = {"test_views": method.test_views, "encoders": method.encoders}
    return GivenMethod(choice, record, {}, *own, **more, given=method)


def with_method(job: Job, method: Method, **changes: Any) -> Job:
    """The job with another method, and with other changes."""
    return replace(job, method=chosen(method, job.spec.method), **changes)


def run_cell(job: Job, template: Template, provider: FeatureProvider) -> Cell:
    """Run one cell as processes do, but in this one."""
    judge = Judge([job], template, provider)
    given = job.method.given if isinstance(job.method, GivenMethod) else None
    make = make_method if given is None else lambda choice: deepcopy(given)
    with patch("harness.runner.run_cell.make_method", make):
        (result,) = here(judge, lambda device: CellWorker(lambda: provider.backbone))
    return judge.cell(result)[0]


def predicted(method: Method, image: Tensor, vocabulary: Vocabulary) -> BestColumns:
    """The best columns of images with features ``(m, d)``, as in the process of a cell."""
    query = Query(ImageInput.of(image[:, None]), {"oop": vocabulary})
    backbone = SimpleNamespace(device=image.device)
    return predict_all(method, "it", query, backbone)[0]["oop"].best  # type: ignore[arg-type]


def task_of(job: Job, template: Template, provider: FeatureProvider) -> tuple[Task, list[str]]:
    """The task of a job that is scored by names, and the given images that could not be read."""
    given, lost = named_task(job, template, provider, ImagePacker(job, provider, None))
    return given.task(provider.backbone), lost
