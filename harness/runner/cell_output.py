"""What the process of a cell sends back: columns, clusters, a bounded report and its cost, as bytes.

The bytes are one line of JSON and a safetensors file of arrays. The parent reads them as a file from elsewhere, because
code of a method may have made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from harness.execution.jobs import LARGEST_TRACE
from harness.types.cell import Count, Record, Sentence

LARGEST_REPORT = 2**20
"""Bytes of a method's report, as JSON, that are accepted."""

Seconds = Annotated[float, Field(ge=0, le=1e9)]

Array = NDArray[np.integer[Any]]


class FitReport(Record):
    """What a process reports of one fit.

    Attributes:
        outcome: the method's own diagnostics.
        trainable: how many numbers it learned.
        remarks: which of these are left out, and why.
        fit_seconds: time in ``fit``.
        score_seconds: time for everything after it.
    """

    outcome: dict[str, Any] = Field(default={})
    trainable: Annotated[int, Field(ge=0, lt=2**60)] = 0
    remarks: Annotated[tuple[Sentence, ...], Field(max_length=2)] = ()
    fit_seconds: Seconds = 0.0
    score_seconds: Seconds = 0.0


class CellReport(Record):
    """What a process reports of a cell, apart from arrays.

    Attributes:
        fits: one for each task.
        not_applicable: the method's message about names that it does not know.
        failure: why there is nothing else, and what kind of failure it is.
        trace: of the failure.
        peak_host_bytes: peak resident memory.
        peak_gpu_bytes: peak GPU memory; None on the CPU.
    """

    fits: Annotated[tuple[FitReport, ...], Field(max_length=2)] = ()
    not_applicable: Sentence | None = None
    failure: Sentence | None = None
    kind: Literal["error", "not applicable"] = "error"
    trace: Annotated[str, Field(max_length=LARGEST_TRACE)] = ""
    peak_host_bytes: Count | None = None
    peak_gpu_bytes: Count | None = None


@dataclass(frozen=True)
class CellOutput:
    """The answer of the process of a cell.

    Attributes:
        report: everything but arrays.
        arrays: for each vocabulary ``joint``, ``oop`` and ``ip`` what is kept of the scores of every image under its
            name and names that begin with it: see ``KeptScores``. For the i-th task ``cluster.<i>`` ``(m,)`` and
            ``name.<i>`` ``(c,)``, as of ``Discovery``.
    """

    report: CellReport
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def packed(self) -> bytes:
        """The bytes to send."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        return self.report.model_dump_json().encode() + b"\n" + save(arrays)

    @classmethod
    def parse(cls, content: bytes) -> CellOutput:
        """The answer that a process sent.

        Raises:
            ValueError: it is not one.
        """
        text, _, arrays = content.partition(b"\n")
        if len(text) > 4 * LARGEST_REPORT:
            raise ValueError("the report is too long")
        try:
            return cls(CellReport.model_validate_json(text), load(arrays))
        except (SafetensorError, KeyError, RecursionError, MemoryError) as error:
            raise ValueError(f"no arrays: {error}") from None

    def array(self, name: str, length: int | None = None) -> NDArray[np.int64]:
        """An array ``(n,)`` of whole numbers.

        Raises:
            ValueError: there is none of that name, kind and length.
        """
        found = self.arrays.get(name)
        if found is None or found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
            raise ValueError(f"{name} is not a vector of whole numbers")
        if length is not None and len(found) != length:
            raise ValueError(f"{name} is of {len(found)} images, not of {length}")
        return found.astype(np.int64)
