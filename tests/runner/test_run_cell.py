"""What a cell does to its copy of the model reaches no later cell of the same process."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.backbones.backbone import Backbone, load
from harness.backbones.private_copy import private_copy
from harness.errors import MethodError
from harness.method import Method
from harness.progress import NullReporter
from harness.prompts import Template
from harness.runner import run_cell
from harness.runner.cell_output import CellOutput
from harness.runner.feature_provider import provider_of
from harness.runner.judge import Judge
from harness.runner.plan import Plan, make_plan
from harness.runner.request import MethodChoice, Request
from harness.runner.run_cell import CellWorker
from harness.types.task import Needs

from ..cells import with_method
from ..datasets.roots import make_root

CPU = torch.device("cpu")
HOOKS = [name for name in vars(nn.Module()) if name.endswith("hooks")]


@dataclass
class Tuned(Method):
    """Scores by the image tower of a copy, after what a subclass does to it."""

    needs = Needs(support=True, pixels=True, model=True)

    def fit(self, task: Any) -> Any:
        self.task_, self.model_ = task, self.change(task)
        return self

    def change(self, task: Any) -> nn.Module:
        return task.model()

    def encode(self, images: Any) -> Any:
        return images.with_features(
            self.task_.encode_image(self.model_, images.pixels(torch.arange(len(images))))[:, None]
        )

    def scores(self, images: Any, vocabulary: Any) -> Any:
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        return self.task_.logit_scale * images.features[:, 0] @ self.task_.text.on(self.model_).encode(prompts).T


class Trains(Tuned):
    def change(self, task: Any) -> nn.Module:
        model = task.model(lambda name: name.startswith(("visual.attnpool", "text_projection")))
        own = [weight for weight in model.parameters() if weight.requires_grad]
        assert len(own) > 2
        step, given = torch.optim.SGD(own, lr=1.0), task.support
        text = task.text.on(model).encode([task.template.fill(name, task.noun) for name in task.names])
        image = task.encode_image(model, given.pixels(torch.arange(len(given))))
        F.cross_entropy(100 * image @ text.T, given.label).backward()
        step.step()
        return model


@dataclass
class Writes(Tuned):
    """Writes weights that its copy shares; the same values in another order are other weights too."""

    what: str = "double"

    def change(self, task: Any) -> nn.Module:
        model = task.model()
        with torch.no_grad():
            weight = model.logit_scale if self.what == "scale" else next(model.visual.parameters())
            weight.copy_(weight.flip(0) if self.what == "turn" else 2 * weight)
        return model


def enlarge(module: nn.Module, given: Any, output: Any) -> Any:
    """A forward hook."""
    return output * 1.1 if isinstance(output, Tensor) else None


class Marks(Tuned):
    """Leaves hooks, buffers, attributes and gradients wherever the copy lets it."""

    def change(self, task: Any) -> nn.Module:
        model = task.model()
        for module in model.modules():
            module.register_forward_hook(enlarge)
            module.register_buffer("left", torch.ones(1))
            module.secret = 7
        for weight in model.parameters():
            weight.requires_grad_(True)
            weight.register_hook(lambda gradient: gradient * 2)
            weight.secret = 7
            weight.grad = torch.ones_like(weight)
        for buffer in model.buffers():
            buffer.add_(1)
        nn.modules.module.register_module_forward_hook(enlarge)
        return model


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    place = {"data": data, "cache": cache, "backbone": "beyond-mini", "device": "cpu"}
    return make_plan(Request((MethodChoice("fsnl"),), ("Animals",), (2,), (1,), **place), NullReporter())


@pytest.fixture
def answers(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs cells of methods in one process, and returns their outputs and its worker."""

    def run(*methods: Method) -> tuple[list[CellOutput], CellWorker]:
        jobs = [with_method(plan.jobs[0], method) for method in methods]
        given, worker = Judge(jobs, Template(), provider_of(plan, 1)), CellWorker(lambda: loaded(plan))
        outputs = []
        for number, method in enumerate(methods):
            monkeypatch.setattr(run_cell, "make_method", lambda choice, method=method: deepcopy(method))
            outputs.append(CellOutput.parse(worker(given[number])))
        return outputs, worker

    return run


def loaded(plan: Plan) -> Backbone:
    return load(plan.resolved, CPU, True)


def state(model: nn.Module) -> dict[str, Any]:
    """The bits of a model, and all that hangs on its modules and weights."""
    values = dict([*model.named_parameters(), *model.named_buffers()])
    return {
        "values": {name: value.detach().numpy().tobytes() for name, value in values.items()},
        "asks": [name for name, value in values.items() if value.requires_grad or value.grad is not None],
        "on weights": [name for name, value in values.items() if vars(value) or value._backward_hooks],
        "on modules": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "hooks": [name for name, module in model.named_modules() if any(getattr(module, hook) for hook in HOOKS)],
        "global hooks": [name for name, found in vars(nn.modules.module).items() if name.endswith("hooks") and found],
    }


def arrays(output: CellOutput) -> dict[str, bytes]:
    assert output.report.failure is None
    return {name: array.tobytes() for name, array in output.arrays.items()}


@pytest.mark.parametrize("method", [Trains(), Marks()])
def test_the_next_cell_of_the_process_gets_the_frozen_model_bit_for_bit(method, answers, plan):
    (changed, after), worker = answers(method, Tuned())
    (alone,), _ = answers(Tuned())
    assert arrays(after) == arrays(alone)
    assert arrays(changed) != arrays(alone), "the method did change its copy"
    assert state(worker._backbone.model) == state(loaded(plan).model)


@pytest.mark.parametrize("what", ["double", "turn", "scale"])
def test_a_method_that_writes_shared_weights_fails_and_the_next_cell_is_right(what, answers, plan):
    (failed, after), worker = answers(Writes(what), Tuned())
    (alone,), _ = answers(Tuned())
    assert failed.report.failure == (
        "fsnl changed weights of the frozen model, which its copies share "
        "(name those that it trains: task.model(lambda name: ...))"
    )
    assert failed.report.kind == "error"
    assert arrays(after) == arrays(alone)
    assert state(worker._backbone.model) == state(loaded(plan).model)


def test_a_copy_without_trained_weights_takes_no_memory_for_weights(plan):
    backbone = loaded(plan)
    own = {weight.data_ptr() for weight in backbone.model.parameters()}
    copied = private_copy(backbone.model)
    assert {weight.data_ptr() for weight in copied.parameters()} == own
    assert not {id(weight) for weight in copied.parameters()} & {id(weight) for weight in backbone.model.parameters()}


def test_a_method_without_the_need_gets_no_model(answers):
    class Undeclared(Tuned):
        needs = Needs(support=True, pixels=True)

    (output,), _ = answers(Undeclared())
    assert str(MethodError("the task has no model")) in output.report.failure
