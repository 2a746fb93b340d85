"""Run a cell in its own process: make the method, fit it, ask it for predictions or clusters, and send them back."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch

from harness.backbones.backbone import Backbone, ResolvedBackbone, load
from harness.backbones.private_copy import still_frozen, weights_checksum
from harness.device import configure_determinism, is_out_of_memory
from harness.errors import HarnessError, MethodError, NotApplicable, describe_error, one_line, with_location
from harness.execution.global_state import seeded_global_state
from harness.execution.jobs import LARGEST_TRACE, SharedMemoryError
from harness.execution.one_thread import one_thread_per_operation
from harness.execution.peak_memory import peaks, start_measuring
from harness.method import Method
from harness.runner.cell_input import CellInput
from harness.runner.cell_output import Array, CellOutput, CellReport, FitReport
from harness.runner.chosen_method import make_method
from harness.runner.fit import fit, report_of
from harness.runner.predict import predict_all

TRAIN_HINT = "name those that it trains: task.model(lambda name: ...)"


class CellWorker:
    """Runs cells with one backbone, which is the same for each of them, bit for bit.

    Args:
        load_backbone: loads it.
    """

    def __init__(self, load_backbone: Callable[[], Backbone]) -> None:
        self._load_backbone = load_backbone
        self._backbone = load_backbone()
        self._checksum: tuple[int, ...] | None = None

    def __call__(self, given: CellInput) -> bytes:
        """The packed ``CellOutput`` of a cell."""
        configure_determinism(self._backbone.device, self._backbone.record.precision)
        with one_thread_per_operation(self._backbone.device):  # for every cell: an earlier one may have changed it
            if not any(task.model for task in given.tasks):
                return run_cell(given, self._backbone).packed()
            self._checksum = self._checksum or weights_checksum(self._backbone.model)
            output = run_cell(given, self._backbone)
            if not still_frozen(self._backbone.model, self._checksum):
                self._backbone = self._load_backbone()
                reason = f"{given.method.name} changed weights of the frozen model, which its copies share"
                output = CellOutput(CellReport(failure=f"{reason} ({TRAIN_HINT})"))
            return output.packed()


def make_cell_worker(resolved: ResolvedBackbone, unit_rows: bool, device: str) -> CellWorker:
    """The worker of a process, which loads the backbone there."""
    where = torch.device(device)
    configure_determinism(where, resolved.record.precision)  # before anything is put on the device
    return CellWorker(partial(load, resolved, where, unit_rows))


def run_cell(given: CellInput, backbone: Backbone) -> CellOutput:
    """Run one cell; an error of the method becomes the output's failure."""
    backbone.text.clear_cache()
    method: Method | None = None
    try:
        method = make_method(given.method)
        with seeded_global_state(given.seed):  # a method that forgets task.generator is still repeatable
            start_measuring(backbone.device)
            fits, arrays, refused = _answers(given, method, backbone)
            host, gpu = peaks(backbone.device)
    except BaseException as error:  # a method is foreign code, and may even call sys.exit
        if backbone.device.type == "cuda" and is_out_of_memory(error):  # perhaps of others on the same device
            raise SharedMemoryError from error
        return CellOutput(_failure(given.method.name, type(method).__module__, error))
    report = CellReport(fits=tuple(fits), not_applicable=refused, peak_host_bytes=host, peak_gpu_bytes=gpu)
    return CellOutput(report, arrays)


def _answers(
    given: CellInput, method: Method, backbone: Backbone
) -> tuple[list[FitReport], dict[str, Array], str | None]:
    """The report of every fit, the arrays of ``CellOutput``, and why only the OOP names are scored."""
    name, device = given.method.name, backbone.device
    reports, arrays, refused = list[FitReport](), dict[str, Array](), None
    for number, task in enumerate(given.tasks):
        own = deepcopy(method)  # what it learns from one task must not reach the other
        fit_seconds = fit(own, name, task.task(backbone), device)
        begin = time.perf_counter()
        arrays |= _clusters(own, name, number)
        report = report_of(own, name)
        if given.query is not None:
            kept, refused = predict_all(own, name, given.query, backbone)
            arrays |= {key: array for each, scores in kept.items() for key, array in scores.arrays(each)}
        times = {"fit_seconds": fit_seconds, "score_seconds": time.perf_counter() - begin}
        reports.append(report.model_copy(update=times))
    return reports, arrays, refused


def _clusters(method: Method, name: str, number: int) -> dict[str, Array]:
    """The clusters that a method found in the images of a task, and their names, if it found any.

    Raises:
        MethodError: they are not vectors of whole numbers.
    """
    found = method.discovery()
    if found is None:
        return {}
    arrays = dict[str, Array]()
    for key in ("cluster", "name"):
        value: Any = getattr(found, key, None)
        if not isinstance(value, torch.Tensor) or value.ndim != 1 or value.is_floating_point():
            kind = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise MethodError(f"{name}.discovery returned a {key} of {kind}", "return vectors of int64")
        arrays[f"{key}.{number}"] = value.cpu().numpy().astype(np.int64)
    return arrays


def _failure(name: str, module: str, error: BaseException) -> CellReport:
    """The report of a method that failed: why, and where in the code of its own package."""
    if isinstance(error, NotApplicable):
        return CellReport(failure=one_line(error.message), kind="not applicable")
    raised = f"{name} raised {describe_error(error)}"
    reason = with_location(one_line(error.message) if isinstance(error, HarnessError) else raised, error, module)
    lines = "".join(traceback.format_exception(error)).encode(errors="backslashreplace").decode()
    trace = f"{name} failed\n"
    return CellReport(failure=reason, trace=trace + lines[len(trace) - LARGEST_TRACE :])
