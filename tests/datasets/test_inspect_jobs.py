"""Images that an executor inspects give the report of one process, and nodes must have the same root."""

from __future__ import annotations

from functools import partial

import pytest

from harness.datasets import inspect_jobs
from harness.datasets.check import check_root
from harness.datasets.inspect_jobs import inspect_with, require_root, split_digest
from harness.errors import DataError, StorageError
from harness.execution.executors import here, processes
from harness.execution.jobs import JobFailure, JobResult, Limits

OOP = "Animals6_OOP"


@pytest.fixture
def damaged(root):
    """A root with an empty, a missing, a corrupt and a copied image."""
    empty, missing, corrupt, copy, *_, last = sorted((root / OOP / "images" / "ibex").iterdir())
    copy.write_bytes(last.read_bytes())
    empty.write_bytes(b"")
    missing.unlink()
    corrupt.write_bytes(b"no image")
    return root


def backwards(jobs, *rest):
    """Jobs that end in another order."""
    yield from reversed(list(here(jobs, *rest)))


@pytest.mark.parametrize(("executor", "workers"), [(backwards, 1), (processes, 1), (processes, 3)])
def test_the_report_is_that_of_threads_for_every_division(damaged, monkeypatch, executor, workers):
    expected = check_root(damaged).model_dump_json()
    assert not check_root(damaged).ok
    monkeypatch.setattr(inspect_jobs, "CHUNK", 7)
    assert check_root(damaged, inspect=partial(inspect_with, executor, workers)).model_dump_json() == expected


def test_images_that_no_process_could_inspect_are_an_error_that_names_the_node(root):
    def lost(jobs, *rest):
        yield JobResult(0, JobFailure("lost", "was started 3 times, and its node n1 was lost"), place="n1")

    with pytest.raises(StorageError, match=r"images such as Animals3_IP/images/cat/.* \(on n1\) was started 3 times"):
        check_root(root, inspect=lambda folder, images: inspect_with(lost, 1, folder, images))


def test_a_node_without_the_root_or_with_another_one_is_refused(root, tmp_path):
    digest, limits = split_digest(root), Limits()
    assert require_root(root, digest, limits) is limits
    with pytest.raises(DataError, match="it has no folder"):
        require_root(tmp_path / "nothing", digest, limits)
    split = next((root / OOP).glob("split_Xin_*.json"))
    split.write_bytes(split.read_bytes() + b" ")
    with pytest.raises(DataError, match="it has other data in"):
        require_root(root, digest, limits)
