"""The CUDA device of the tests: a simulated one, and the real one where there is one (``pytest -m gpu``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch

from harness import device as devices

from .fake_cuda import MakeBelieve, fake_cuda


class Cuda:
    """A device to test on.

    Attributes:
        device: for tensors.
        fake: what is watched of a simulated one, None for a real one.
    """

    def __init__(self, fake: MakeBelieve | None) -> None:
        self.device = torch.device("cuda", 0)
        self.fake = fake

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Fails if the host waits for the device."""
        if self.fake is None:
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")
        else:
            before = self.fake.waits.at.copy()
            yield
            assert self.fake.waits.at - before == {}


@pytest.fixture(
    params=[
        "simulated",
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
        fake = stack.enter_context(fake_cuda()) if request.param == "simulated" else None
        if fake is None:
            stack.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        found = Cuda(fake)
        devices.configure_determinism(found.device, "fp32")
        yield found
