"""A node of a cluster is checked before it runs cells: versions, methods, weights and data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError, HarnessError, PluginError, StorageError
from harness.execution.executors import here
from harness.execution.jobs import Limits
from harness.execution.sandbox import Sandbox
from harness.progress import NullReporter
from harness.runner.encode_jobs import EncodeWorker, encode_with
from harness.runner.feature_provider import provider_of
from harness.runner.node import NodeNeeds, prepare_node
from harness.runner.plan import Plan


def reason(needs: NodeNeeds, kind: type[HarnessError]) -> str:
    with pytest.raises(kind) as raised:
        prepare_node(needs, Limits())
    assert raised.value.hint
    return raised.value.message


def test_a_node_like_the_driver_is_used_and_hides_its_own_folders(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan.root is not None
    monkeypatch.setenv("HARNESS_DATA", str(plan.root))
    limits = Limits(sandbox=Sandbox(hidden=(plan.cache,)))
    prepared = prepare_node(NodeNeeds.of(plan, encodes=True), limits)
    assert prepared.sandbox is not None
    assert {plan.cache, plan.root.resolve()} < set(prepared.sandbox.hidden)


def test_data_may_be_in_another_folder(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan.root is not None
    needs = NodeNeeds.of(plan, encodes=True)
    provider = provider_of(plan, 1)
    plan.root.rename(tmp_path / "moved")
    assert reason(needs, DataError) == f"it has no folder {plan.root / 'Animals3_OOP'}"
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "moved"))
    prepare_node(needs, Limits())
    encode_with(here, Limits(), provider, plan, plan.jobs, NullReporter())
    assert not any(provider.missing(plan.jobs).values())
    shutil.copytree(tmp_path / "moved", tmp_path / "other")
    split = next((tmp_path / "other").glob("Animals3_OOP/split*.json"))
    split.write_text(split.read_text().replace("ibex", "yak"))
    for folder in (tmp_path / "other").glob("Animals3_OOP/images/ibex"):
        folder.rename(folder.with_name("yak"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "other"))
    assert reason(needs, DataError) == f"it has other data in {tmp_path / 'other' / 'Animals3_OOP'}"


def test_rows_of_nodes_are_those_of_this_machine(plan: Plan, tmp_path: Path) -> None:
    provider, other = provider_of(plan, 2), provider_of(replace(plan, cache=tmp_path / "other cache"), 1)
    encode_with(here, Limits(), provider, plan, plan.jobs, NullReporter())
    other.encode(plan.jobs, NullReporter())
    for side, features in other.scored("Animals").items():
        assert provider.scored("Animals")[side].image.equal(features.image)
    assert EncodeWorker(replace(plan, jobs=(), domains={}), 1, "cpu")


def test_other_versions_code_and_weights_are_named(plan: Plan, tmp_path: Path) -> None:
    needs = NodeNeeds.of(plan, encodes=False)
    assert needs.folders == {}
    older = replace(needs, versions={**needs.versions, "torch": "2.0"})
    assert reason(older, HarnessError).endswith(", and the run has 2.0")
    changed = tuple(method.model_copy(update={"code": "0" * 64}) for method in needs.methods)
    assert reason(replace(needs, methods=changed), PluginError).startswith("it has other code of zero_shot")
    unknown = tuple(method.model_copy(update={"name": "nowhere"}) for method in needs.methods)
    assert reason(replace(needs, methods=unknown), PluginError) == "it has no method named 'nowhere'"
    (backbone,) = needs.backbones
    gone = replace(backbone, weights=tmp_path / "weights.safetensors")
    assert reason(replace(needs, backbones=(gone,)), StorageError) == f"it has no file {gone.weights}"
    gone.weights.write_bytes(b"other weights")
    assert reason(replace(needs, backbones=(gone,)), StorageError) == f"it has another file {gone.weights}"
    shutil.copy(backbone.weights, gone.weights)
    assert prepare_node(replace(needs, backbones=(gone,)), Limits()) == Limits()
