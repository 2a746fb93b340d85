"""The CUDA device of the tests: a make-believe one, and the real one where there is one (``pytest -m gpu``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch

from harness import device as devices

from .make_believe import MakeBelieve, make_believe


class Cuda:
    """A device to test on.

    Attributes:
        device: for tensors.
        believed: what is watched of a make-believe one, None for a real one.
    """

    def __init__(self, believed: MakeBelieve | None) -> None:
        self.device = torch.device("cuda", 0)
        self.believed = believed

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Fails if the host waits for the device."""
        if self.believed is None:
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")
        else:
            before = self.believed.waits.at.copy()
            yield
            assert self.believed.waits.at - before == {}


@pytest.fixture(
    params=[
        "make-believe",
        pytest.param(
            "gpu",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
            ],
        ),
    ]
)
def cuda(request: pytest.FixtureRequest) -> Iterator[Cuda]:
    """A CUDA device with the settings of a run in fp32."""
    with ExitStack() as stack:
        believed = stack.enter_context(make_believe()) if request.param == "make-believe" else None
        if believed is None:
            stack.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        found = Cuda(believed)
        devices.configure_determinism(found.device, "fp32")
        yield found
