"""Every method on a simulated CUDA device: same scores as on the CPU, no synchronisation in training."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch

from harness import device as devices
from harness.backbones.text import OpenClipTextTower
from harness.errors import FixedVocabulary
from harness.execution.one_thread import one_thread_per_operation
from harness.matching import match, native
from harness.method import build
from harness.runner.predict import checked_scores
from harness.types.images import Images, Support
from harness.types.task import Task
from harness_plugins._clustering import _sample_columns
from harness_plugins._name_tuning import NameEmbeddings
from harness_plugins.fsnl import FSNL

from ..bench.test_bench_fsnl import task_at_the_real_size
from ..makers import unit_rows
from ..plugins.tasks import JOINT, NAMES, classes, images, make_task, seen
from ..towers import make_model, tokenizer
from .conftest import Cuda
from .fake_cuda import fake_cuda

CPU = torch.device("cpu")
EPOCHS = 2
INNER = {"name": "cosine_head", "parameters": {"epochs": EPOCHS}}
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "fsnl": ({}, {"swap": "similar"}, {"optimizer": "sgd", "shots_per_batch": 2, "length": 2, "init": "random"}),
    "cocoop": ({}, {"images": None}),
    "coop": ({"views": 2, "batch": 6},),
    "learning_to_name": ({"length": None},),
    "gda": ({}, {"covariance": "views", "views": 3}),
    "tip_adapter": ({}, {"views": 2}),
    "cluster_vote": ({}, {"score": "sum"}),
    "zsnl": ({}, {"discover": "ward", "known": "classes"}, {"known": "nothing"}, {"assign": "clusters"},
             {"count": "estimated", "rounds": 2}),
    "zero_shot": ({}, {"prompts": "ensemble"}),
    "soup": ({"inner": INNER, "rates": [0.5, 1.0]},),
    "pseudo": ({"inner": INNER},),
    "cosmo": ({"seen": INNER},),
    "em_dirichlet": ({"rounds": 3, "steps": 20},),
    "lp_pp": ({"steps": 60},),
    "proxy_map": ({"mixtures": 20},),
    "waffle": ({"pairs": 3},),
    "plot": ({"prompts": 2, "length": 2},),
}  # fmt: skip
"""Parameters other than the defaults: another branch, or fewer of the same steps."""
METHODS = {name: cls for name, cls in classes().items() if not cls.needs.model}
"""All but those that tune the towers, which these tasks do not have."""
CASES = [(name, setting) for name in sorted(METHODS) for setting in SETTINGS.get(name, ({},))]


def made(name: str, **parameters: Any) -> Any:
    cls = classes()[name]
    quick = {key: value for key, value in (("epochs", EPOCHS), ("restarts", 3)) if hasattr(cls, key)}
    return build(name, cls, values=quick | parameters)


@cache
def _tower(device: torch.device, kind: type[torch.Tensor]) -> OpenClipTextTower:
    """The text tower on a device; the simulated one has tensors of another type."""
    return OpenClipTextTower(make_model("unit-clip").to(device), tokenizer("unit-clip"), device)


def task_on(device: torch.device, views: int = 1, shots: int = 4) -> Task:
    """The usual task of the tests, with everything that a run puts on its device there."""
    task = make_task(shots=shots, views=views)
    if device.type == "cpu":
        return task
    tower = _tower(device, type(torch.empty(0, device=device)))
    tower.clear_cache()
    given = {field.name: getattr(task, field.name) for field in fields(task) if field.name.startswith("_")}
    moved = {name: images_on(value, device) for name, value in given.items() if isinstance(value, Images)}
    weight, bias = task.projection
    projection = weight.to(device), None if bias is None else bias.to(device)
    return replace(task, device=device, text=tower, _projection=lambda: projection, **moved)


def images_on(part: Images, device: torch.device) -> Images:
    kinds = {name: kind.to(device) for name, kind in part._kinds.items()}
    label = {"label": part.label.to(device)} if isinstance(part, Support) else {}
    return replace(part, features=part.features.to(device), _kinds=kinds, **label)


def answers(name: str, setting: dict[str, Any], device: torch.device, progress: Any = None) -> tuple[Any, torch.Tensor]:
    """The fitted method, and its scores of OOP images among all names, or among OOP names where it knows no others."""
    method = made(name, **setting)
    task = task_on(device, method.views)
    task = replace(task, generator=torch.Generator().manual_seed(0), progress=progress or task.progress)
    with one_thread_per_operation(device):
        method.fit(task)
        query = images_on(seen(images(6, 30)[0][:, 0]), device)
        try:
            return method, checked_scores(method, name, query, JOINT)
        except FixedVocabulary:
            return method, checked_scores(method, name, query, task.vocabulary)


class Steps:
    """Progress that watches the steps between the first and the last."""

    def __init__(self, cuda: Cuda) -> None:
        self.watched = 0
        self._cuda = cuda
        self._stack = ExitStack()

    def __call__(self, done: int, total: int) -> None:
        self.watched += 1
        if done == 1:
            self._stack.enter_context(self._cuda.without_waiting())
        if done == total:
            self._stack.close()


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_scores_match_the_cpu_and_training_steps_do_not_synchronise(
    name: str, setting: dict[str, Any], cuda: Cuda
) -> None:
    """Steps are queued one after the other; ``swap=similar`` alone reads which learned names are alike now."""
    trained = hasattr(classes()[name], "epochs") and setting.get("swap") != "similar"
    steps = Steps(cuda) if trained else None
    method, found = answers(name, setting, cuda.device, steps)
    assert steps is None or steps.watched >= EPOCHS
    assert found.device == cuda.device
    learned = [value for value in vars(method).values() if isinstance(value, torch.Tensor)]
    assert all(value.device == cuda.device for value in learned)
    _, expected = answers(name, setting, CPU)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    if cuda.fake is not None:
        assert cuda.fake.waits.unordered == {}
    else:  # a real one could take sums in another order every time
        assert torch.equal(answers(name, setting, cuda.device)[1], found)


@pytest.mark.slow
def test_random_numbers_do_not_depend_on_the_device(cuda: Cuda) -> None:
    for name, cls in METHODS.items():
        states = []
        for device in (CPU, cuda.device):
            method = made(name)
            task = task_on(device, method.views)
            method.fit(task)
            states.append(task.generator.get_state())
        assert torch.equal(*states), cls


def test_the_benchmark_of_fsnl_steps_at_the_real_size_runs_on_the_device() -> None:
    with fake_cuda():
        task = task_at_the_real_size(torch.device("cuda", 0), "fp32", count=2, batch=4)
        fitted = FSNL(epochs=1, captions_per_class=None).fit(task)
    assert fitted.names_.rows.device == task.device


def test_name_embeddings_start_equal_on_every_device(cuda: Cuda) -> None:
    rows = [NameEmbeddings(NAMES, task_on(device), length=2, init="random").rows.cpu() for device in (CPU, cuda.device)]
    torch.testing.assert_close(*rows)


@pytest.mark.parametrize("seed", range(3))
def test_k_means_draws_as_multinomial_does(seed: int) -> None:
    weight = torch.rand(4, 50, generator=torch.Generator().manual_seed(seed))
    drawn, expected = (torch.Generator().manual_seed(seed) for _ in range(2))
    assert torch.equal(_sample_columns(weight, 5, drawn), torch.multinomial(weight, 5, generator=expected))
    assert torch.equal(drawn.get_state(), expected.get_state())


@pytest.mark.parametrize("backend", ["auto", "cpp", "scipy"])
def test_matching_gives_back_tensors_of_the_device(backend: Any, cuda: Cuda) -> None:
    if backend == "cpp" and not native.has_cpp():
        pytest.skip("the native module was not built")
    prototypes, names = unit_rows(12, 8, 0), unit_rows(14, 8, 1)
    expected = match(prototypes, names)
    found = match(prototypes.to(cuda.device), names.to(cuda.device), backend=backend)
    assert found.columns.device == found.similarity.device == cuda.device
    assert torch.equal(found.columns.cpu(), expected.columns)
    assert torch.equal(found.similarity.cpu(), expected.similarity)


def test_tf32_keeps_text_tower_optimisations(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rounding, 1e-4 where six blocks are 512 wide, is more than a probe allows: probes are made without it."""
    seen: list[bool] = []

    def spy(probe: Any) -> Any:
        return lambda tower: [seen.append(torch.backends.cuda.matmul.allow_tf32), probe(tower)][1]

    for probe in ("_probe_cut", "_probe_tree"):
        monkeypatch.setattr(OpenClipTextTower, probe, spy(getattr(OpenClipTextTower, probe)))
    devices.configure_determinism(cuda.device, "tf32")
    tower = OpenClipTextTower(make_model("unit-clip").to(cuda.device), tokenizer("unit-clip"), cuda.device)
    assert seen == [False, False]
    assert tower.cuts_context
    assert tower.shares_prefixes
    assert torch.backends.cuda.matmul.allow_tf32
