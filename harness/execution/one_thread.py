"""Runs every operation in one thread, so that results have the same bits for any number of workers and cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch


@contextmanager
def one_thread_per_operation(device: torch.device) -> Iterator[None]:
    """On the CPU, compute every operation in one thread; cores are used for several batches or cells instead.

    So sums have the same order for any number of workers and cores. It is also faster: threads that share one small
    operation wait for each other, most of all on a busy machine (a linear probe took fifty times as long). numpy,
    scipy and scikit-learn always compute on the CPU.
    """
    import torch

    before = torch.get_num_threads()
    try:
        with threadpool_limits(1, user_api="blas"):
            if device.type == "cpu":
                torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)
