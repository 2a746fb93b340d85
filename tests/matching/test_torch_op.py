"""harness::match as a torch operator: opcheck, and one graph under torch.compile."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from harness.matching import instances, match, native, torch_op


@pytest.fixture
def tensors():
    return tuple(torch.from_numpy(x) for x in instances.clip_like(0, 2, 9, 12, dimension=16))


@pytest.mark.parametrize("backend", ["cpp", "scipy"])
def test_opcheck(tensors, backend):
    if backend == "cpp" and not native.has_cpp():
        pytest.skip("the native module is not built")
    assert torch_op.choose(*tensors, backend) == backend
    torch.library.opcheck(torch.ops.harness.match.default, (*tensors, backend, 0))


def test_compiles_into_one_graph(tensors):
    def total(prototypes, names):
        found = match(prototypes * 2, names)
        return found.columns + 1, found.similarity

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    for ours, eager in zip(compiled(*tensors), total(*tensors), strict=True):
        torch.testing.assert_close(ours, eager, rtol=0, atol=0)


def test_fake_tensors_have_the_shapes_and_types_of_results(tensors):
    from torch._subclasses.fake_tensor import FakeTensorMode

    real = match(*tensors)
    with FakeTensorMode() as mode:
        fake = match(*(mode.from_tensor(x) for x in tensors))
    for name in ("columns", "similarity", "gap", "valid"):
        assert getattr(fake, name).shape == getattr(real, name).shape
        assert getattr(fake, name).dtype == getattr(real, name).dtype


class EmulatedModule:
    """The compiled module's functions for a device, by the emulator; capsules are of tensors on the CPU."""

    def __init__(self, emulator):
        self.emulator = emulator

    def workspace_bytes(self, batch, n, m):
        return 1

    def match_fused(self, *arguments):
        *capsules, stream = arguments
        self.run("fused", capsules, stream)

    def match_large(self, *arguments):
        *capsules, workspace, stream = arguments
        assert torch.from_dlpack(workspace).dtype == torch.uint8
        self.run("large", capsules, stream)

    def run(self, kernel, capsules, stream):
        assert stream == 7
        prototypes, names, *results = map(torch.from_dlpack, capsules)
        if len(prototypes):
            assert prototypes.is_contiguous()
            assert names.is_contiguous()
            found, _ = self.emulator.match(kernel, prototypes, names)
            for result, array in zip(results, found, strict=True):
                result.copy_(torch.from_numpy(array))


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
@pytest.mark.parametrize("backend", ["cuda-fused", "cuda"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_kernels_receive_contiguous_tensors_of_their_types(backend, dtype, emulator, monkeypatch):
    """For any strides, and for no prototypes or no names."""
    emulated = EmulatedModule(emulator("plain"))
    p, t = (torch.from_numpy(x).to(dtype) for x in instances.clip_like(0, 2, 9, 12, dimension=16))
    t[1, 3, 3] = torch.nan
    views = [(p, t), (p.mT.contiguous().mT, t.flip(1)), (p[:, ::2], t[:, 1:]), (t, p), (p[:0], t[:0]), (p[:, :0], t)]
    expected = [match(*view) for view in views]
    monkeypatch.setattr(native, "module", lambda: emulated)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=7))
    for view, wanted in zip(views, expected, strict=True):
        found = torch_op._match_on_device(*view, backend)
        for ours, theirs in zip(found, (wanted.columns, wanted.similarity, wanted.gap, wanted.valid), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
