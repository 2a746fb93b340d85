"""Records keep their content through JSON, and a spec's key covers everything that decides a number."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from harness.types.cell import BackboneRecord, Cell, DatasetRecord, MethodRecord, Spec

from ..makers import cells, few, make_cell, make_preprocessing, make_spec, sha, specs


@few
@given(cells)
def test_round_trip_preserves_cell(cell: Cell) -> None:
    again = Cell.model_validate_json(cell.model_dump_json(indent=1))
    assert again == cell
    assert again.spec.key == cell.spec.key
    assert again.model_dump_json() == cell.model_dump_json()


@few
@given(specs)
def test_round_trip_preserves_key(spec: Spec) -> None:
    assert Spec.model_validate_json(spec.model_dump_json()).key == spec.key


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, (1, 2), [(1,), {"a": (2,)}], {1: 2}, 10**30])
def test_round_trip_preserves_any_parameter(value: Any) -> None:
    cell = make_cell(method={"parameters": {"x": value}})
    again = Cell.model_validate_json(cell.model_dump_json())
    assert again == cell
    assert again.spec.key == cell.spec.key
    json.loads(cell.model_dump_json(), parse_constant=pytest.fail)


CHANGES: dict[str, Any] = {
    "protocol": "paper-2025",
    "decoding": "plain",
    "domain": "Food",
    "shots": 8,
    "seed": 0,
    "manifest": None,
    "device": "cuda (H200)",
    "versions": {"harness": "0.2.0", "torch": "2.5.0"},
}
INNER: dict[str, tuple[type, dict[str, Any]]] = {
    "dataset": (
        DatasetRecord,
        {
            "name": "other",
            "folders": ("Animals6_OOP",),
            "fingerprint": sha("other"),
            "copies_left_out": True,
        },
    ),
    "backbone": (
        BackboneRecord,
        {
            "architecture": "ViT-B-16",
            "pretrained": "laion400m_e32",
            "weights_sha256": sha("other"),
            "corpus": "LAION-400M",
            "quick_gelu": "unchecked",
            "config": sha("other"),
            "preprocessing": make_preprocessing(resize_mode="squash"),
            "preprocessing_source": "stated",
            "images": "given features",
            "precision": "bf16",
            "compiled": True,
        },
    ),
    "method": (
        MethodRecord,
        {
            "name": "zero_shot",
            "distribution": "acme",
            "version": "9",
            "code": sha("other"),
            "parameters": {"lr": 0.02},
            "needs": ("support", "captions"),
            "seeded": False,
            "pool": "test-unlabeled",
            "test_views": 2,
            "encoders": {"resnet50": sha("other")},
            "texts": sha("other"),
        },
    ),
}


def test_the_key_changes_with_every_field() -> None:
    changed = [make_spec(**{field: value}) for field, value in CHANGES.items()]
    for field, (record, values) in INNER.items():
        assert set(values) == set(record.model_fields), f"a field of {record.__name__} is not tested"
        changed += [make_spec(**{field: {inner: value}}) for inner, value in values.items()]
    assert set(CHANGES) | set(INNER) | {"schema_version"} == set(Spec.model_fields), "a field of Spec is not tested"
    assert len({spec.key for spec in [make_spec(), *changed]}) == 1 + len(changed)


def test_the_key_does_not_depend_on_the_order_of_parameters() -> None:
    one = make_spec(method={"parameters": {"a": 1, "b": 2}})
    other = make_spec(method={"parameters": {"b": 2, "a": 1}})
    assert one.key == other.key


def test_the_key_of_a_fixed_spec_is_stable() -> None:
    # If this fails, no result in anybody's store is found again: give the schema a new version.
    assert make_spec().key == "35f20047b949ab0ba417609d75b4a3a6a850a3af23e024073cae90f3d44042ba"


class LaterMethod(MethodRecord):
    note: str | None = None


class LaterSpec(Spec):
    """As a later version may have it: with one more field, here and within."""

    method: LaterMethod
    temperature: float = 1.0


def test_new_fields_with_defaults_preserve_old_keys() -> None:
    content = make_spec().model_dump(mode="json")
    later = LaterSpec.model_validate(content)
    assert later.model_dump(mode="json") != content
    assert later.key == make_spec().key
    others = [{**content, "temperature": 2.0}, {**content, "method": {**content["method"], "note": "x"}}]
    assert len({make_spec().key, *(LaterSpec.model_validate(one).key for one in others)}) == 3


def test_records_are_frozen_and_refuse_unknown_fields() -> None:
    cell = make_cell()
    with pytest.raises(ValidationError, match="frozen"):
        cell.spec = make_spec()  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Cell.model_validate({**cell.model_dump(), "note": "x"})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_metrics_must_be_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Cell(spec=make_spec(), metrics={"oop_top1": value})
