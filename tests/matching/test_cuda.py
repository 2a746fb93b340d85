"""The CUDA kernels against the CPU: equal bits and equal choices. Not yet run on a device."""

import numpy as np
import pytest
import torch

from harness.errors import UserError
from harness.matching import instances, match, native, operator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (torch.cuda.is_available() and native.has_cuda()), reason="needs a CUDA device and build"),
]

BACKENDS = ["cuda-fused", "cuda"]
EDGES = [1, 2, 31, 32, 33, 63, 64, 65, 113]


def on_device(*arrays):
    return tuple(torch.as_tensor(x).cuda() for x in arrays)


def same(found, expected):
    for name in ("columns", "similarity", "gap", "valid"):
        np.testing.assert_array_equal(getattr(found, name).cpu().numpy(), np.asarray(getattr(expected, name)), name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("m", EDGES)
def test_equals_the_cpu_at_tile_edges(n, m, backend):
    for dimension in (1, 15, 16, 31, 32, 33, 512):
        p, t = instances.uniform(n * m, 2, n, m, dimension)
        same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", sorted(instances.GENERATORS))
def test_equals_the_cpu_for_every_type(name, dtype, backend):
    p, t = (torch.from_numpy(x).to(dtype) for x in instances.GENERATORS[name](0, 5, 113, 113))
    same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("shape", [(132, 200, 200), (3, 224, 224), (3, 100, 300), (3, 300, 100)])
def test_fused_sizes(shape):
    p, t = instances.clip_like(0, *shape)
    same(match(*on_device(p, t), backend="cuda-fused"), match(p, t))


@pytest.mark.parametrize("shape", [(1, 1000, 1000), (3, 513, 513), (2, 300, 1000), (2, 1000, 300), (1, 3000, 3000)])
def test_large_sizes(shape):
    p, t = instances.clip_like(0, *shape)
    same(match(*on_device(p, t), backend="cuda"), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_zero_rows_and_bad_numbers(backend):
    p, t = (x.copy() for x in instances.clip_like(1, 6, 40, 50, 64))
    p[0], t[1, 10:30] = 0, t[1, 9]
    p[2, 5:15], p[3, 1, 1], t[4, 49, 63] = p[2, 4], np.nan, np.inf
    p[5] *= np.float32(1e-42)
    same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0), (1, 1, 1, 1)])
def test_empty_and_smallest(shape, backend):
    b, n, m, d = shape
    p, t = np.ones((b, n, d), np.float32), np.ones((b, m, d), np.float32)
    same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
def test_ten_runs_are_equal(backend):
    p, t = on_device(*instances.clip_like(2, 64, 113, 113))
    first = match(p, t, backend=backend)
    for _ in range(10):
        assert torch.equal(match(p, t, backend=backend).columns, first.columns)


@pytest.mark.parametrize("backend", BACKENDS)
def test_own_stream_and_graph(backend):
    p, t = on_device(*instances.clip_like(3, 4, 113, 113))
    expected = match(p, t, backend=backend).columns.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        match(p, t, backend=backend)  # warm
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = match(p, t, backend=backend).columns
    captured.zero_()
    graph.replay()
    assert torch.equal(captured, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend):
    p, t = on_device(*instances.clip_like(4, 2, 9, 12, 16))
    torch.library.opcheck(torch.ops.harness.match.default, (p, t, backend, 0))


def test_sentences():
    with pytest.raises(UserError, match="do not fit"):
        match(*on_device(*instances.uniform(0, 1, 900, 900, 8)), backend="cuda-fused")
    with pytest.raises(UserError, match=f"at most {operator.MAX_DIMENSION} dimensions"):
        match(*on_device(*instances.uniform(0, 1, 2, 2, operator.MAX_DIMENSION + 1)), backend="cuda")
