"""On a CPU, processes encode only what would take long in one process that cannot use all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.execution.executors import here
from harness.execution.jobs import JobResult, Limits
from harness.progress import NullReporter
from harness.runner import encode_jobs
from harness.runner.encode_jobs import encode_in_processes
from harness.runner.feature_provider import FeatureProvider, provider_of
from harness.runner.plan import Plan


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two images are measured, and jobs have two."""
    monkeypatch.setattr(encode_jobs, "CHUNK", 2)


def missing(provider: FeatureProvider, plan: Plan) -> int:
    return sum(map(len, provider.missing(plan.jobs).values()))


def divided(provider: FeatureProvider, plan: Plan, workers: int) -> list[tuple[int, int]]:
    """Encode; the number of processes and of jobs, each time that an executor was asked."""
    asked = list[tuple[int, int]]()

    def executor(jobs: Sequence[Any], make_worker: Any, limits: Limits, groups: Any = None) -> Iterator[JobResult]:
        asked.append((limits.workers, len(jobs)))
        return here(jobs, make_worker, limits)

    encode_in_processes(executor, workers, provider, plan, plan.jobs, NullReporter())
    return asked


def test_threads_of_one_process_use_few_cores(plan: Plan, few: None) -> None:
    provider = provider_of(plan, 4)
    before = missing(provider, plan)
    assert divided(provider, plan, 4) == []
    assert missing(provider, plan) == before > 2


def test_what_is_done_soon_is_not_divided(plan: Plan, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = provider_of(plan, 5)
    before = missing(provider, plan)
    monkeypatch.setattr(encode_jobs, "LONG_SECONDS", 3600)
    assert divided(provider, plan, 5) == []
    assert missing(provider, plan) == before - 2  # these were measured


def test_so_few_images_are_not_measured(plan: Plan) -> None:
    provider = provider_of(plan, 5)
    before = missing(provider, plan)
    assert divided(provider, plan, 5) == []
    assert missing(provider, plan) == before


def test_divided_rows_are_those_of_one_process(
    plan: Plan, few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_jobs, "LONG_SECONDS", 0)
    provider, other = provider_of(plan, 5), provider_of(replace(plan, cache=tmp_path / "other cache"), 1)
    before = missing(provider, plan)
    assert divided(provider, plan, 5) == [(2, -(-(before - 2) // 2))]
    assert missing(provider, plan) == 0
    other.encode(plan.jobs, NullReporter())
    for side, features in other.scored("Animals").items():
        assert provider.scored("Animals")[side].image.equal(features.image)
