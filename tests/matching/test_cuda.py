"""The CUDA kernels on a GPU give the same bits as the CPU; `python scripts/gpu_check` runs this."""

import numpy as np
import pytest
import torch

from harness.errors import UserError
from harness.matching import instances, match, native, torch_op

from .test_assignment import price_war, products, staircase

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (torch.cuda.is_available() and native.has_cuda()), reason="needs a CUDA device and build"),
]

BACKENDS = ["cuda-fused", "cuda"]
EDGES = [1, 2, 31, 32, 33, 63, 64, 65, 113]


def on_device(*arrays):
    return tuple(torch.as_tensor(x).cuda() for x in arrays)


def rectangle(n, m, seed=0):
    """Rows that compete for few columns: the phases of the large auction, then prices that have to decrease."""
    p, t = instances.clip_like(seed, 2, n, m)
    return p + 4 * p[:, :1], t


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
    if not native.module().fused_fits(*shape[1:]):
        pytest.skip("too large for a block of this device")
    p, t = instances.clip_like(0, *shape)
    same(match(*on_device(p, t), backend="cuda-fused"), match(p, t))


@pytest.mark.parametrize("shape", [(1, 1000, 1000), (3, 513, 513), (2, 300, 1000), (2, 1000, 300), (1, 3000, 3000)])
def test_large_sizes(shape):
    p, t = instances.clip_like(0, *shape)
    same(match(*on_device(p, t), backend="cuda"), match(p, t))


@pytest.mark.parametrize("shape", [(990, 1000), (1000, 900), (300, 310)])
def test_crowded_rectangles(shape):
    p, t = rectangle(*shape)
    same(match(*on_device(p, t), backend="cuda"), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
def test_unaligned_rows(backend):
    """Contiguous tensors that begin anywhere, and views that have to be copied."""
    p, t = instances.clip_like(0, 3, 40, 50, 64)
    for dtype in (torch.float32, torch.float16):
        views = []
        for x in (p, t):
            flat = torch.empty(x.size + 1, dtype=dtype, device="cuda")
            flat[1:] = torch.from_numpy(x).flatten()
            views.append(flat[1:].view(x.shape))
        expected = match(*(view.cpu() for view in views))
        same(match(*views, backend=backend), expected)
        same(match(*(view.mT.contiguous().mT for view in views), backend=backend), expected)
        same(match(views[0][1], views[1][1], backend=backend), match(views[0][1].cpu(), views[1][1].cpu()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [1, 131, 1000])
def test_any_batch(batch, backend):
    p, t = instances.clip_like(0, batch, 20, 24, 32)
    same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hard", [products, staircase, price_war])
def test_long_augmenting_paths(hard, backend):
    """Rows whose cosines are a hard matrix of similarities, up to rounding: p = S, t = I, and rows of equal length."""
    wanted = hard(100).astype(np.float64) / np.abs(hard(100)).max() / 10
    rest = np.sqrt(1 - (wanted**2).sum(axis=1, keepdims=True).clip(max=1))
    p = np.concatenate([wanted, rest], axis=1).astype(np.float32)[None]
    t = np.eye(101, dtype=np.float32)[None, :100]
    same(match(*on_device(p, t), backend=backend), match(p, t))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sanitized(backend):
    """Small and varied, for compute-sanitizer: every kernel, edges of tiles, ties, a rectangle, bad numbers."""
    for n, m, dimension in ((1, 1, 1), (33, 33, 33), (20, 65, 40), (66, 64, 16)):
        p, t = instances.uniform(n, 3, n, m, dimension)
        t[1] = t[1, :1]
        p[2, 0, 0] = np.nan
        same(match(*on_device(p, t), backend=backend), match(p, t))
    p, t = rectangle(40, 44)
    same(match(*on_device(p, t), backend=backend), match(p, t))


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
def test_kernels_run_on_the_current_stream(backend):
    """The kernels run after earlier work on the same stream, and before later work."""
    p, t = on_device(*instances.clip_like(3, 8, 113, 113))
    expected = match(p, t, backend=backend).columns
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        late = torch.zeros_like(p)
        torch.cuda._sleep(20_000_000)
        late.copy_(p)
        found = match(late, t, backend=backend).columns * 2
        late.zero_()
    stream.synchronize()
    assert torch.equal(found, expected * 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_captured_graph_reads_new_input(backend):
    p, t = on_device(*instances.clip_like(3, 4, 113, 113))
    fresh = on_device(*instances.clip_like(4, 4, 113, 113))
    expected = [match(*pair, backend=backend).columns.clone() for pair in ((p, t), fresh)]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        match(p, t, backend=backend)  # warm
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = match(p, t, backend=backend).columns
    for pair, wanted in zip(((p, t), fresh), expected, strict=True):
        p.copy_(pair[0])
        t.copy_(pair[1])
        captured.zero_()
        graph.replay()
        assert torch.equal(captured, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(4, 60, 60, 32), (0, 3, 4, 5), (2, 0, 4, 5)])
def test_nothing_waits_for_the_device(backend, shape):
    b, n, m, d = shape
    p, t = on_device(*instances.uniform(0, b, n, m, d))
    match(p, t, backend=backend)
    torch.cuda.set_sync_debug_mode("error")
    try:
        match(p, t, backend=backend)
        match(p.half(), t.half(), backend=backend)
        if b:
            match(p[0], t[0], backend=backend)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_into_one_graph(backend, dynamic):
    def total(prototypes, names):
        found = match(prototypes * 2, names, backend=backend)
        return found.columns + 1, found.similarity

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for shape in ((2, 9, 12, 16), (3, 10, 8, 16)):
        tensors = on_device(*instances.clip_like(0, *shape))
        for ours, eager in zip(compiled(*tensors), total(*tensors), strict=True):
            torch.testing.assert_close(ours, eager, rtol=0, atol=0)


def test_workspace_returns_to_the_allocator():
    p, t = on_device(*instances.clip_like(0, 2, 300, 300, 64))
    match(p, t, backend="cuda")
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        match(p, t, backend="cuda")
    assert torch.cuda.memory_allocated() == before


def test_largest_fused_size_is_as_documented():
    limit = torch.cuda.get_device_properties(0).shared_memory_per_block_optin
    largest = max(n for n in range(1, 300) if native.module().fused_fits(n, n))
    assert largest == {227 * 1024: 226, 163 * 1024: 187}.get(limit, largest)
    same(
        match(*on_device(*instances.clip_like(0, 1, largest, largest)), backend="cuda-fused"),
        match(*instances.clip_like(0, 1, largest, largest)),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend):
    p, t = on_device(*instances.clip_like(4, 2, 9, 12, 16))
    torch.library.opcheck(torch.ops.harness.match.default, (p, t, backend, 0))


def test_unsupported_sizes_raise_user_error():
    with pytest.raises(UserError, match="do not fit"):
        match(*on_device(*instances.uniform(0, 1, 900, 900, 8)), backend="cuda-fused")
    with pytest.raises(UserError, match=f"at most {torch_op.MAX_DIMENSION} dimensions"):
        match(*on_device(*instances.uniform(0, 1, 2, 2, torch_op.MAX_DIMENSION + 1)), backend="cuda")
