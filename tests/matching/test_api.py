"""harness.matching.match: every kind of input, bad input, and error messages."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.errors import UserError
from harness.matching import Matching, instances, match, native, scipy_reference
from harness.matching.result import Solved

CPU = [pytest.param("cpp", marks=pytest.mark.skipif(not native.has_cpp(), reason="not built")), "scipy"]
each_backend = pytest.mark.parametrize("backend", CPU)


@pytest.fixture(scope="module")
def problem():
    return instances.clip_like(0, 4, 30, 40, dimension=64)


def reference(prototypes, names):
    return scipy_reference.match(np.asarray(prototypes, np.float32), np.asarray(names, np.float32))


def same(found: Matching, expected: Solved) -> None:
    np.testing.assert_array_equal(np.asarray(found.columns), expected.columns)
    np.testing.assert_array_equal(np.asarray(found.similarity), expected.similarity)
    np.testing.assert_array_equal(np.asarray(found.gap), expected.gap)
    np.testing.assert_array_equal(np.asarray(found.valid), expected.valid)


@each_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_numpy(problem, backend, dtype):
    p, t = (x.astype(dtype) for x in problem)
    found = match(p, t, backend=backend)
    assert found.backend == backend
    assert found.columns.dtype == np.int64
    assert found.similarity.dtype == found.gap.dtype == np.float64
    assert found.valid.dtype == np.bool_
    same(found, reference(p, t))


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_torch(problem, backend, dtype):
    p, t = (torch.from_numpy(x).to(dtype) for x in problem)
    found = match(p, t, backend=backend)
    assert found.columns.dtype == torch.int64
    assert found.similarity.dtype == torch.float64
    assert found.valid.dtype == torch.bool
    same(found, reference(p.float(), t.float()))


@each_backend
def test_any_strides(problem, backend):
    p, t = problem
    expected = reference(p, t)
    views = (
        lambda x: np.asfortranarray(x),
        lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: torch.from_numpy(x).mT.contiguous().mT,
        lambda x: torch.from_numpy(np.repeat(x, 2, axis=2))[..., ::2],
    )
    for view in views:
        same(match(view(p), view(t), backend=backend), expected)
    shared = match(torch.from_numpy(p), torch.from_numpy(t[0]).expand(4, -1, -1), backend=backend)
    same(shared, reference(p, np.broadcast_to(t[0], t.shape)))


@each_backend
def test_results_have_no_gradient(problem, backend):
    p, t = (torch.from_numpy(x).requires_grad_() for x in problem)
    found = match(p, t, backend=backend)
    assert not found.similarity.requires_grad


@each_backend
def test_single_problem_has_no_batch_axis(problem, backend):
    p, t = problem
    whole, one = match(p, t, backend=backend), match(p[2], t[2], backend=backend)
    assert one.columns.shape == (30,)
    assert one.similarity.shape == ()
    np.testing.assert_array_equal(one.columns, whole.columns[2])
    assert match(torch.from_numpy(p[2]), torch.from_numpy(t[2]), backend=backend).gap.shape == ()


@each_backend
def test_swapping_prototypes_and_names_transposes_the_assignment(problem, backend):
    p, t = problem
    wide, tall = match(p, t, backend=backend), match(t, p, backend=backend)
    np.testing.assert_array_equal(wide.similarity, tall.similarity)
    for k in range(4):
        rows = np.arange(30)
        np.testing.assert_array_equal(tall.columns[k, wide.columns[k]], rows)
        assert (tall.columns[k] == -1).sum() == 10


@each_backend
@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0), (1, 1, 1, 1)])
def test_empty_and_smallest(shape, backend):
    b, n, m, d = shape
    p, t = np.ones((b, n, d), np.float32), np.ones((b, m, d), np.float32)
    for found in (match(p, t, backend=backend), match(torch.from_numpy(p), torch.from_numpy(t), backend=backend)):
        assert tuple(found.columns.shape) == (b, n)
        expected = [j if j < m else -1 for j in range(n)]
        assert np.asarray(found.columns).tolist() == [expected] * b
        assert np.asarray(found.similarity).tolist() == [float(min(n, m)) if d else 0.0] * b
        assert np.asarray(found.valid).all()


@each_backend
def test_zero_rows_have_cosine_zero(problem, backend):
    p, t = (x.copy() for x in problem)
    p[1] = 0
    t[2, 5:9] = 0
    found = match(p, t, backend=backend)
    assert found.similarity[1] == 0
    assert found.columns[1].tolist() == list(range(30))
    assert found.valid.all()
    same(found, reference(p, t))


@each_backend
def test_duplicates_go_to_the_lowest_name(backend):
    names = np.eye(4, dtype=np.float32)[[0, 1, 1, 1, 2, 2]]
    found = match(names[[5, 1, 2, 0]], names, backend=backend)
    assert found.columns.tolist() == [4, 1, 2, 0]


@each_backend
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_invalidate_only_their_problem(problem, backend, bad):
    p, t = (x.copy() for x in problem)
    p[1, 3, 7] = bad
    t[3, 39, 63] = bad
    found = match(p, t, backend=backend)
    good = match(problem[0], problem[1], backend=backend)
    assert found.valid.tolist() == [True, False, True, False]
    assert (found.columns[[1, 3]] == -1).all()
    assert np.isnan(found.similarity[[1, 3]]).all()
    assert np.isnan(found.gap[[1, 3]]).all()
    np.testing.assert_array_equal(found.columns[[0, 2]], good.columns[[0, 2]])


@each_backend
def test_float64_beyond_float32_counts_as_infinite(backend):
    found = match(np.full((2, 2), 1e300), np.eye(2), backend=backend)
    assert not found.valid


def test_callers_denormal_mode_does_not_change_results(problem):
    """Rows of denormal numbers have a direction, even when torch flushes such numbers to zero."""
    if not native.has_cpp():
        pytest.skip("the native module is not built")
    tiny = tuple(x * np.float32(1e-40) for x in problem)
    expected = reference(*tiny)
    assert (expected.similarity > 1).all()
    try:
        torch.set_flush_denormal(True)
        for threads in (1, 3):
            same(match(*tiny, backend="cpp", threads=threads), expected)
    finally:
        torch.set_flush_denormal(False)


def test_threads_and_runs_do_not_change_results(problem):
    p, t = instances.clip_like(1, 40, 60, 60, dimension=512)
    once = match(p, t, threads=1)
    for threads in (None, 2, 3, 7):
        same(match(p, t, threads=threads), Solved(once.columns, once.similarity, once.gap, once.valid))
    large = instances.uniform(1, 1, 250, 260)
    np.testing.assert_array_equal(match(*large, threads=1).columns, match(*large, threads=4).columns)


def test_backends_agree_on_clip_like_problems():
    if not native.has_cpp():
        pytest.skip("the native module is not built")
    for shape in ((3, 113, 113), (2, 64, 200), (2, 200, 64)):
        p, t = instances.clip_like(5, *shape)
        same(match(p, t, backend="cpp"), reference(p, t))


def test_auto_without_the_native_module_is_scipy(problem, monkeypatch):
    monkeypatch.setattr(native, "_module", None)
    p, t = problem
    found = match(p, t)
    assert found.backend == "scipy"
    same(found, reference(p, t))
    with pytest.raises(UserError, match="the native matching module is not built"):
        match(p, t, backend="cpp")


ones = np.ones((3, 2), np.float32)
SENTENCES = [
    ((ones, ones[:, :1]), {}, "prototypes have 2 dimensions and names 1"),
    ((ones, ones[None]), {}, r"prototypes have shape \(3, 2\) and names \(1, 3, 2\)"),
    ((ones[0], ones[0]), {}, r"both must be \(n, d\) and \(m, d\)"),
    ((ones[None], np.stack([ones, ones])), {}, "1 batches of prototypes and 2 of names"),
    ((ones, ones.astype(np.float16)), {}, "prototypes are float32 and names float16"),
    ((ones.astype(int), ones.astype(int)), {}, "match takes float32, float16, bfloat16, float64, not int64"),
    ((ones, torch.ones(3, 2)), {}, "two kinds, numpy and torch"),
    ((ones.tolist(), ones), {}, "match takes numpy arrays or torch tensors, not list"),
    ((torch.ones(3, 2), torch.ones(3, 2, device="meta")), {}, "prototypes are on cpu and names on meta"),
    ((torch.ones(3, 2), torch.ones(3, 2).half()), {}, "prototypes are torch.float32 and names torch.float16"),
    ((ones, ones), {"backend": "gpu"}, "no matching backend named 'gpu'"),
    ((ones, ones), {"backend": "cuda"}, "backend 'cuda' needs tensors on a CUDA device"),
    (
        (torch.ones(3, 2), torch.ones(3, 2)),
        {"backend": "cuda-fused"},
        "backend 'cuda-fused' needs tensors on a CUDA device",
    ),
    ((torch.ones(3, 2), torch.ones(3, 2).to_sparse()), {}, r"match takes dense tensors, not torch.sparse_coo"),
    ((torch.ones(3, 2).to_mkldnn(), torch.ones(3, 2)), {}, r"match takes dense tensors, not torch._mkldnn"),
    ((ones, ones), {"threads": 0}, "threads is 0; it must be a whole number from 1"),
    ((ones, ones), {"threads": 2.5}, "threads is 2.5; it must be a whole number"),
    ((torch.ones(3, 2), torch.ones(3, 2)), {"threads": 2.5}, "threads is 2.5; it must be a whole number"),
    ((ones, ones), {"threads": "2"}, "threads is '2'; it must be a whole number"),
    ((ones, ones), {"threads": 2**40}, "threads is 1099511627776; it must be a whole number from 1 to 2147483647"),
]


@pytest.mark.parametrize(("arguments", "options", "sentence"), SENTENCES)
def test_bad_input_raises_user_error(arguments, options, sentence):
    with pytest.raises(UserError, match=sentence):
        match(*arguments, **options)


def test_threads_accept_numpy_integers():
    for given in (ones, torch.ones(3, 2)):
        for threads in (np.int64(2), 2**31 - 1):
            assert match(given, given, threads=threads).columns.tolist() == [0, 1, 2]


@each_backend
def test_result_equals_only_itself(problem, backend):
    """Arrays have no single answer to ==, so results are compared by identity."""
    one, other = match(*problem, backend=backend), match(*problem, backend=backend)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_import_does_not_import_torch():
    code = "import sys, harness.matching; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
