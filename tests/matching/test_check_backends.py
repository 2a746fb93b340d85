"""The comparison of backends by `harness doctor` and the benchmarks, with the backends of a CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import UserError
from harness.matching import check_backends, match, native

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_exact_backends_agree(kind):
    for prototypes, names in check_backends.problems():
        check_backends.require_same(kind(prototypes), kind(names), ["cpp", "scipy"])


def test_problems_contain_ties_bad_numbers_and_rectangles():
    found = [match(prototypes, names, backend="cpp") for prototypes, names in check_backends.problems()]
    assert any((~one.valid).any() for one in found)
    assert any((one.columns[one.valid] < 0).any() for one in found)  # more prototypes than names
    assert any((one.similarity == 0).any() for one in found)
    ties = [names for _, names in check_backends.problems() if len(np.unique(names[1], axis=0)) < names.shape[1]]
    assert ties


def changed(field, value):
    return np.where(np.isnan(value), 0.0, value) if field == "gap" else np.roll(value, 1)


@pytest.mark.parametrize("field", check_backends.FIELDS)
def test_wrong_backend_raises_user_error(field, monkeypatch):
    def wrong(prototypes, names, backend):
        found = match(prototypes, names, backend="cpp")
        return replace(found, **{field: changed(field, getattr(found, field))}) if backend == "cuda" else found

    monkeypatch.setattr(check_backends, "match", wrong)
    prototypes, names = next(pair for pair in check_backends.problems() if np.isnan(pair[0]).any())
    check_backends.require_same(prototypes, names, ["cuda-fused"])
    with pytest.raises(UserError, match=rf"'cuda' differs from 'cpp' in {field} for \(4, 40, 64\)") as error:
        check_backends.require_same(prototypes, names, ["cuda-fused", "cuda"])
    assert "backend='cpp'" in error.value.hint
