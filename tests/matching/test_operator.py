"""harness::match inside torch: opcheck, and one graph under torch.compile."""

import pytest
import torch

from harness.matching import instances, match, native, operator


@pytest.fixture
def tensors():
    return tuple(torch.from_numpy(x) for x in instances.clip_like(0, 2, 9, 12, dimension=16))


@pytest.mark.parametrize("backend", ["cpp", "scipy"])
def test_opcheck(tensors, backend):
    if backend == "cpp" and not native.has_cpp():
        pytest.skip("the native module is not built")
    assert operator.choose(*tensors, backend) == backend
    torch.library.opcheck(torch.ops.harness.match.default, (*tensors, backend, 0))


def test_compiles_into_one_graph(tensors):
    def total(prototypes, names):
        found = match(prototypes * 2, names)
        return found.columns + 1, found.similarity

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    for ours, eager in zip(compiled(*tensors), total(*tensors), strict=True):
        torch.testing.assert_close(ours, eager, rtol=0, atol=0)


def test_fake_tensors_have_the_shapes_and_types_of_real_ones(tensors):
    from torch._subclasses.fake_tensor import FakeTensorMode

    real = match(*tensors)
    with FakeTensorMode() as mode:
        fake = match(*(mode.from_tensor(x) for x in tensors))
    for name in ("columns", "similarity", "gap", "valid"):
        assert getattr(fake, name).shape == getattr(real, name).shape
        assert getattr(fake, name).dtype == getattr(real, name).dtype
