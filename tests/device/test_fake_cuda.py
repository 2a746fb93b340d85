"""The rules of the simulated device; on a real one the same tests say whether they are CUDA's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.device import to_device

from .conftest import Cuda
from .fake_cuda import FakeCudaTensor, fake_cuda

PAIR = "same device"

MIXED: dict[str, tuple[Callable[[Tensor, Tensor], Any], str]] = {
    "add": (lambda here, there: here + there, PAIR),
    "matmul": (lambda here, there: here @ there.T, PAIR),
    "cat": (lambda here, there: torch.cat([here, there]), PAIR),
    "where": (lambda here, there: torch.where(there > 0, here, here), PAIR),
    "embedding": (lambda here, there: F.embedding(there[0].long(), here), PAIR),
    "index of the CPU": (lambda here, there: there[here[0].long()], "indices should be either"),
    "set": (lambda here, there: here.index_add_(0, torch.tensor([0, 1]), here[:2]), PAIR),
}


@pytest.fixture
def here(cuda: Cuda) -> Tensor:
    return torch.ones(3, 3).to(cuda.device)


@pytest.mark.parametrize("kind", list(MIXED))
def test_mixed_devices_raise(kind: str, here: Tensor) -> None:
    call, sentence = MIXED[kind]
    with pytest.raises(RuntimeError, match=sentence):
        call(here, torch.ones(3, 3))


def test_operations_that_torch_allows_across_devices(here: Tensor) -> None:
    assert (here + torch.tensor(2.0)).tolist() == [[3.0] * 3] * 3
    assert here[torch.tensor([0, 2])].shape == (2, 3)
    assert here[[0, 2]].device == here.device
    there = torch.zeros(3, 3)
    there.copy_(here)
    assert there.sum() == 9
    assert torch.equal(here.cpu(), there)
    assert torch.cat([here.cpu(), there]).device.type == "cpu"
    here[0, 0] = 5.0
    assert here.tolist()[0] == [5.0, 1.0, 1.0]


def test_tensor_reports_cuda_device(here: Tensor, cuda: Cuda) -> None:
    assert (here.is_cuda, here.device, here.get_device(), here.device.type) == (True, cuda.device, 0, "cuda")
    assert here.to("cuda") is here.to(cuda.device) is here.cuda() is here
    for made in (
        torch.zeros(2, device="cuda"),
        torch.tensor([1, 2], device=cuda.device),
        torch.empty_like(here),
        here.new_zeros(2),
        F.one_hot(here[0].long()),
        here.double(),
    ):
        assert made.device == cuda.device
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        here.numpy()


def test_generators_of_the_cpu_draw_on_the_cpu(cuda: Cuda) -> None:
    generator = torch.Generator()
    for draw in (
        lambda: torch.randn(3, generator=generator, device=cuda.device),
        lambda: torch.randperm(3, generator=generator, device=cuda.device),
        lambda: torch.multinomial(torch.ones(3, device=cuda.device), 1, generator=generator),
    ):
        with pytest.raises(RuntimeError, match="'cuda' device type for generator but found 'cpu'"):
            draw()
    assert torch.randn(3, device=cuda.device).device == cuda.device


def test_views_share_their_numbers(here: Tensor) -> None:
    here[0].zero_()
    here.view(9)[1:2] += 4
    for row, into in zip(here, torch.unbind(here.T), strict=True):
        row += 1
        into.mul_(2)
    assert here.cpu().tolist() == _the_same(torch.ones(3, 3))


def _the_same(there: Tensor) -> list[list[float]]:
    there[0].zero_()
    there.view(9)[1:2] += 4
    for row, into in zip(there, torch.unbind(there.T), strict=True):
        row += 1
        into.mul_(2)
    return there.tolist()  # type: ignore[no-any-return]


def test_gradients_and_optimizers(cuda: Cuda) -> None:
    learned = []
    for device in (torch.device("cpu"), cuda.device):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        layer.to(device)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(4, 3).to(device)).square().sum().backward()
            optimizer.step()
        assert layer.weight.device == device
        learned.append(layer.weight.detach().cpu())
    torch.testing.assert_close(*learned)


WAITS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x[0, 0].item(),
    "bool": lambda x: bool((x > 0).all()),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 2],
    "equal": lambda x: torch.equal(x, x),
    "bincount": lambda x: torch.bincount(x[0].long()),
    "to the device": lambda x: torch.ones(3).to(x.device),
    "one hot": lambda x: F.one_hot(x[0].long()),
    "list": lambda x: x[[0, 1]],
}
GOES_ON: dict[str, Callable[[Tensor], Any]] = {
    "arithmetic": lambda x: (x @ x + 1).softmax(dim=1).argmax(dim=1),
    "where": lambda x: torch.where(x > 2, x, 0.0),
    "index": lambda x: x[x[0].long().clamp(max=2)],
    "send": lambda x: to_device(torch.ones(3), x.device),
    "sort": lambda x: x.topk(2).values.sort().values,
    "index add": lambda x: x.index_add_(0, torch.zeros(3, dtype=torch.long, device=x.device), x.clone()),
    "zeros": lambda x: torch.zeros(5, device=x.device),
}


@pytest.mark.parametrize("kind", list(WAITS))
def test_synchronising_operations_are_detected(kind: str, here: Tensor, cuda: Cuda) -> None:
    with pytest.raises((RuntimeError, AssertionError)), cuda.without_waiting():
        WAITS[kind](here)


@pytest.mark.parametrize("kind", list(GOES_ON))
def test_other_operations_do_not_synchronise(kind: str, here: Tensor, cuda: Cuda) -> None:
    GOES_ON[kind](here)
    with cuda.without_waiting():
        GOES_ON[kind](here)


def test_deterministic_mode(here: Tensor, cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="deterministic"):
        here.cumsum(dim=0)
    assert here.long().cumsum(dim=0).device == here.device
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    if cuda.fake is not None:  # torch asks for it once in a process
        with pytest.raises(RuntimeError, match="CUBLAS_WORKSPACE_CONFIG"):
            here @ here


def test_tf32_rounds(cuda: Cuda) -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 64).to(cuda.device)
    exact = x @ x
    torch.backends.cuda.matmul.allow_tf32 = True
    error = float((x @ x - exact).abs().max() / exact.abs().max())
    if cuda.fake is not None or torch.cuda.get_device_capability() >= (8, 0):
        assert 1e-6 < error < 2e-3


def test_patches_are_removed() -> None:
    tf32, there = torch.backends.cudnn.allow_tf32, torch.cuda.is_available()
    with fake_cuda():
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.allow_tf32 = not tf32
        stored = torch.ones(2, device="cuda")
    assert isinstance(stored, FakeCudaTensor)
    assert torch.cuda.is_available() is there
    assert torch.backends.cudnn.allow_tf32 is tf32
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="outside of fake_cuda"):
        stored + 1
