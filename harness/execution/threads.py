"""One thread for every operation, so that results are the same bits for any number of workers and cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch


@contextmanager
def one_thread_per_operation(device: torch.device) -> Iterator[None]:
    """On the CPU, compute every operation with one thread, and use the cores for several batches or cells instead.

    So sums are taken in the same order for any number of workers and cores. It is also quicker: threads that share
    one small operation wait for each other, badly so on a machine with other work (a linear probe took fifty times as
    long). What numpy, scipy and scikit-learn compute is on the CPU always.
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
