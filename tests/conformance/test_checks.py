"""Every check finds what it is for, and says what to change."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from harness.conformance import CHECKS, check_method
from harness.conformance.backbone import tiny_model
from harness.conformance.subject import Subject
from harness.conformance.suite import run_check
from harness.errors import FixedVocabulary, MethodError
from harness.execution.global_state import changes, snapshot
from harness.method import Method

from ..conformance import faulty
from .faulty import Good, encoded, scores

FAULTS: list[tuple[str, type[Method], str, str]] = [
    (
        "default_constructible",
        faulty.NeedsAnArgument,
        "cannot be created without arguments",
        "give every field a default",
    ),
    ("default_constructible", faulty.ComputesInInit, "has 'double' before fit", "compute nothing in __init__"),
    ("default_constructible", faulty.ChangesItsParameters, "changes parameters when it is created", "compute nothing"),
    ("default_constructible", faulty.WithoutDocstring, "has no docstring", "its first line is shown"),
    ("parameters_survive_json", faulty.KeepsAFunction, "cannot be stored as JSON", "use numbers, strings"),
    ("parameters_survive_json", faulty.WrongAnnotation, "widths=(1, 2) is read back from JSON as [1, 2]", "annotate"),
    ("fit_returns_self", faulty.ReturnsNothing, "fit returned NoneType", "end fit with `return self`"),
    ("scores_before_fit_raise", faulty.AnswersBeforeFit, "returned scores before fit", "attributes that fit sets"),
    ("learned_names_end_in_underscore", faulty.NamesWithoutUnderscore, "set the attribute 'weights'", "weights_"),
    ("learned_names_end_in_underscore", faulty.TunesItsParameter, "changed the parameter 'strength'", "strength_"),
    ("declared_needs", faulty.ReadsUndeclared, "reads task.validation without declaring validation", "validation=True"),
    ("declared_needs", faulty.ReadsPrivate, "reads task._validation", "not part of the contract"),
    ("declared_needs", faulty.HidesItsText, "says text = False, and uses the text tower", "remove `text = False`"),
    ("declared_needs", faulty.DeclaresTooMuch, "declares validation but never reads it", "remove validation"),
    ("declared_needs", faulty.ProbesPixels, "reads pixels of images without declaring it", "add pixels=True"),
    ("declared_needs", faulty.ProbesTokens, "reads tokens of images without declaring it", "add tokens=True"),
    ("declared_needs", faulty.ProbesEncoder, "reads resnet50 of images without declaring it", "method's encoders"),
    ("declared_needs", faulty.DeclaresTokens, "declares tokens but never reads it", "remove tokens"),
    (
        "declared_needs",
        faulty.DeclaresAnEncoder,
        f"declares the encoder {faulty.ENCODER} but never reads its features",
        "remove it",
    ),
    ("report_is_json", faulty.ReportsATensor, "outcome cannot be stored as JSON", "plain numbers and strings"),
    ("report_is_json", faulty.CountsInWords, "trainable returned 'many'", "an integer from trainable"),
    ("finite_scores", scores(lambda s: s.log() * float("nan")), "returned NaN or infinity", "learning rate"),
    ("finite_scores", scores(lambda s: s[:, 1:]), "returned (40, 4) for 40 images", "one column per name"),
    ("finite_scores", scores(lambda s: s.squeeze(0)), "returned (5,) for 1 images", "return (1, 5)"),
    ("finite_scores", scores(lambda s: s.argmax(dim=1)), "returned torch.int64", "before softmax, not labels"),
    ("finite_scores", scores(lambda s: s.numpy()), "returned ndarray", "return a torch tensor"),
    (
        "finite_scores",
        scores(lambda s: s[:, :1].expand_as(s)),
        "gives every name the same score",
        "one column per name",
    ),
    ("finite_scores", encoded(lambda i, _: i[1:]), "encode returned features (39, 1, 32)", "a row for every image"),
    ("finite_scores", encoded(lambda i, _: i.features), "returned Tensor", "return images.with_features"),
    (
        "finite_scores",
        encoded(lambda i, _: i.with_features(i.features * float("nan"))),
        "encode returned NaN or infinity",
        "division by zero",
    ),
    ("inputs_untouched", encoded(lambda i, _: i.with_features(i.features.mul_(2))), "changes the images", "a copy"),
    ("inputs_untouched", faulty.WritesIntoTheModel, "changes the weights of the frozen model", "task.model(train)"),
    ("inputs_untouched", faulty.WritesIntoSupport, "fit changes task.support", "work on a copy"),
    ("inputs_untouched", faulty.WritesIntoQuery, "scores changes the images it is given", "work on a copy"),
    ("inputs_untouched", faulty.TrainsTheTower, "changes the weights of the frozen model", "frozen"),
    ("global_state_untouched", faulty.DrawsFromShared, "changes Python's random state", "task.generator only"),
    ("global_state_untouched", faulty.IgnoresTheSeed, "changes torch's random state", "task.generator only"),
    (
        "global_state_untouched",
        encoded(lambda i, _: i.with_features(i.features + 0.1 * torch.randn_like(i.features))),
        "changes torch's random state",
        "task.generator only",
    ),
    ("global_state_untouched", faulty.ChangesFolder, "changes the working folder", "restore global settings"),
    (
        "global_state_untouched",
        faulty.RoundsEverybody,
        "changes torch's cublas allow bf16 reduced precision reduction",
        "restore global settings",
    ),
    (
        "same_seed_same_scores",
        faulty.IgnoresTheSeed,
        "two fits of the same task with the same seed differ",
        "generator",
    ),
    (
        "same_seed_same_scores",
        faulty.DeniesTheSeed,
        "declares seeded = False, but two fits",
        "draw no random numbers in fit",
    ),
    ("same_seed_same_scores", faulty.LearnsWhileScoring, "differs between two calls", "learn nor draw"),
    (
        "same_seed_same_scores",
        encoded(lambda i, t: i.with_features(i.features + 0.1 * torch.rand(i.features.shape, generator=t.generator))),
        "differs between two calls",
        "learn nor draw",
    ),
    (
        "separate_streams",
        faulty.MixesStreams,
        "images scored in one vocabulary change the scores in another",
        "self.state_[vocabulary]",
    ),
    (
        "query_order",
        scores(lambda s: s + torch.arange(len(s))[:, None]),
        "depend on the order of the images",
        "by itself",
    ),
    ("batch_size", scores(lambda s: s - s.mean(dim=0)), "scores in batches of 1 differ", "in fit"),
    (
        "class_order",
        faulty.ByPosition,
        "columns do not follow the order of vocabulary.names",
        "by name, not by position",
    ),
    ("class_order", faulty.SortsNames, "with the same names in another order", "positions in task.names"),
    ("foreign_vocabulary", faulty.RefusesEverything, "refused the names it was fitted on", "foreign names only"),
    ("foreign_vocabulary", faulty.RefusesHalf, "refuses the joint vocabulary only", "or never"),
    ("foreign_vocabulary", faulty.ZerosForForeign, "gives all foreign names the same score", "raise harness.errors"),
    (
        "foreign_vocabulary",
        faulty.ByPosition,
        "gives foreign names the scores of its fitted names",
        "raise harness.errors",
    ),
    (
        "hidden_labels",
        faulty.LooksAtTheCaller,
        "predictions depend on something that is not passed to the method",
        "alone",
    ),
    (
        "one_shot",
        faulty.NeedsTwoShots,
        "fit raised ValueError with one image of each class: too few images",
        "contract",
    ),
    ("one_class", faulty.NeedsTwoClasses, "fit raised ValueError with one class: too few classes", "contract"),
    ("uneven_classes", faulty.NeedsEqualClasses, "fit raised RuntimeError with fewer images of one class", "contract"),
    (
        "two_domains",
        faulty.KeepsTheLastDomain,
        "other support images of the same names do not change the scores",
        "attributes of self",
    ),
    ("two_domains", faulty.StartsFromTheFirstDomain, "scores depend on which domains were fitted before", "of self"),
    (
        "two_domains",
        faulty.GoesOnFromTheLastFit,
        "a second fit of the same object gives other scores",
        "fit must set every learned attribute",
    ),
    ("missing_captions", faulty.NeedsCaptions, "fit raised AttributeError with some captions", "contract"),
    (
        "beats_chance",
        scores(torch.neg),
        "of a separable domain correctly; chance is 20%",
        "a higher score a better one",
    ),
    ("runs_on_cpu", scores(lambda s: s.to("meta")), "returned scores on meta on the CPU", "keep everything on"),
    ("memory_returned", faulty.Leaks, "bytes of tensors that are never freed", "attributes of self"),
]
"""Check, method, part of the sentence, part of what to change."""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What faulty methods change is put back."""
    folder, weights = Path.cwd(), list(tiny_model().model.parameters())
    before, number = [weight.detach().clone() for weight in weights], torch.get_rng_state()
    yield
    os.chdir(folder)
    for weight, value in zip(weights, before, strict=True):
        weight.requires_grad_(False).copy_(value)
    torch.set_rng_state(number)
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    faulty.LEAK.clear()
    faulty.MEANS.clear()
    faulty.FIRST.clear()


def subject(method: type[Method]) -> Subject:
    """A method under test; one that cannot be made has its class only."""
    made = Subject("bad", Good())
    made.cls = method
    if method is not faulty.NeedsAnArgument:
        made.method = method()
    return made


@pytest.mark.parametrize(
    ("check", "method", "sentence", "change"), FAULTS, ids=[f"{c}-{m.__name__}-{s[:20]}" for c, m, s, _ in FAULTS]
)
def test_a_check_detects_its_problem_with_a_hint(check: str, method: type[Method], sentence: str, change: str) -> None:
    result = run_check(check, subject(method))
    assert result.state == "failed"
    assert result.message.startswith("bad")
    assert sentence in result.message
    assert change in result.hint


def test_exceptions_are_reported_with_their_location() -> None:
    result = run_check("one_class", subject(faulty.NeedsTwoClasses))
    line = next(
        i for i, text in enumerate(Path(faulty.__file__).read_text().splitlines(), 1) if "too few classes" in text
    )
    assert f"faulty.py:{line} in fit" in result.hint


def test_every_check_is_tested() -> None:
    assert {check for check, *_ in FAULTS} == set(CHECKS)


@pytest.mark.parametrize("method", [Good, faulty.EveryKind, faulty.Counts])
def test_a_good_method_passes(method: type[Method]) -> None:
    """Also one that reads every kind of input, and one on a stream."""
    results = list(check_method("good", method))
    assert [r for r in results if r.state != "passed"] == []
    assert [r.check for r in results] == list(CHECKS)


class Fails(Good):
    """x."""

    error: ClassVar[type[BaseException]]

    def scores(self, images: Any, vocabulary: Any) -> Any:
        raise self.error("no scores")


@pytest.mark.parametrize("error", [ValueError, SystemExit, FixedVocabulary])
def test_a_raising_method_does_not_stop_other_checks(error: type[BaseException]) -> None:
    results = list(check_method("bad", type("Fails", (Fails,), {"error": error, "__doc__": "x."})))
    assert [r.check for r in results] == list(CHECKS)
    assert {r.check for r in results if r.state == "failed"} >= {"finite_scores", "inputs_untouched", "one_class"}


def test_every_check_has_a_docstring() -> None:
    assert all(check.__doc__ for check in CHECKS.values())


def test_a_class_that_cannot_be_created_is_an_error() -> None:
    with pytest.raises(MethodError, match="bad cannot be created without arguments"):
        next(check_method("bad", faulty.NeedsAnArgument))


# -- known failures ----------------------------------------------------------------------------------------------------


class Excused(faulty.NeedsTwoClasses):
    """x."""

    known_failures: ClassVar = {"one_class": "one class needs no method"}


class Improved(Good):
    """x."""

    known_failures: ClassVar = {"one_class": "one class needs no method"}


def test_a_known_failure_is_excused_with_its_reason() -> None:
    result = run_check("one_class", subject(Excused))
    assert (result.state, result.message) == ("excused", "one class needs no method")
    assert run_check("one_shot", subject(Excused)).state == "passed"


def test_a_known_failure_that_passes_is_a_failure() -> None:
    result = run_check("one_class", subject(Improved))
    assert (result.state, result.hint) == ("failed", "remove one_class from known_failures")


def test_an_unknown_check_in_known_failures_is_an_error() -> None:
    wrong = type("Wrong", (Good,), {"known_failures": {"one_clas": "x"}, "__doc__": "x."})
    with pytest.raises(MethodError, match="names 'one_clas', which is not a check"):
        next(check_method("bad", wrong))


# -- in an author's tests ----------------------------------------------------------------------------------------------

TEST = """
from harness.conformance import parametrize_with_checks
from tests.conformance.faulty import Good, NeedsTwoClasses
from tests.conformance.test_checks import Excused, Improved

@parametrize_with_checks([Good, NeedsTwoClasses(), Excused, Improved])
def test_parametrize_with_checks(check):
    check()
"""


def test_the_decorator_runs_every_check_of_every_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test_parametrize_with_checks.py"
    file.write_text(TEST)
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    options = ["-q", "-rA", "-k", "one_", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    pytest.main([str(file), *options])
    said = capsys.readouterr().out
    assert "fit raised ValueError with one class: too few classes" in said
    assert "[XPASS(strict)] one class needs no method" in said
    assert re.search(r"2 failed, 5 passed, \d+ deselected, 1 xfailed", said)


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="needs torch 2.9")
def test_precision_set_through_the_new_api_is_detected() -> None:
    """Torch then cannot report it in the older way."""
    products, before = torch.backends.cuda.matmul, snapshot()
    known = products.fp32_precision
    try:
        products.fp32_precision = "tf32"
        assert "torch's precision of cuda matmul" in changes(before)
    finally:
        products.fp32_precision = known
