"""The list of checks and the functions that run them, for the command line and for pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from harness.conformance import contract, hygiene, scoring, situations
from harness.conformance.subject import Subject, with_defaults
from harness.errors import FixedVocabulary, HarnessError, MethodError
from harness.method import Method
from harness.progress import NullReporter, Reporter

Check = Callable[[Subject], None]

CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        contract.default_constructible,
        contract.parameters_survive_json,
        contract.fit_returns_self,
        contract.scores_before_fit_raise,
        contract.learned_names_end_in_underscore,
        contract.declared_needs,
        contract.report_is_json,
        scoring.finite_scores,
        hygiene.inputs_untouched,
        hygiene.global_state_untouched,
        hygiene.same_seed_same_scores,
        scoring.query_order,
        scoring.batch_size,
        scoring.separate_streams,
        scoring.class_order,
        scoring.foreign_vocabulary,
        scoring.hidden_labels,
        situations.one_shot,
        situations.one_class,
        situations.uneven_classes,
        situations.two_domains,
        situations.missing_captions,
        situations.beats_chance,
        hygiene.runs_on_cpu,
        hygiene.memory_returned,
    )
}
"""Checks by name, in the order of execution."""


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Attributes:
        check: name of the check.
        state: ``passed``, ``failed``, or ``excused``: known to fail, with a reason.
        message: what is wrong, or the reason.
        hint: what to change.
    """

    check: str
    state: Literal["passed", "failed", "excused"]
    message: str = ""
    hint: str = ""


def check_method(name: str, method: type[Method] | Method, report: Reporter | None = None) -> Iterator[CheckResult]:
    """Run all checks on a method.

    Args:
        name: its name in messages.
        method: its class, tested with the defaults, or an object whose parameters are used.
        report: receives the progress.

    Raises:
        MethodError: the class cannot be created, or excuses an unknown check.
    """
    subject = _make_subject(name, method)
    with (report or NullReporter()).stage(f"checking {name}", len(CHECKS), "checks") as advance:
        for check in CHECKS:
            yield run_check(check, subject)
            advance(1)


def run_check(check: str, subject: Subject) -> CheckResult:
    """Run one check; a failure declared in ``known_failures`` is excused, and required."""
    excuse = subject.cls.known_failures.get(check)
    try:
        CHECKS[check](subject)
    except HarnessError as error:
        if excuse is not None:
            return CheckResult(check, "excused", excuse)
        return CheckResult(check, "failed", *_describe(subject, error))
    if excuse is not None:
        hint = f"remove {check} from known_failures"
        return CheckResult(
            check, "failed", f"{subject.name} passes {check}, which it declares as a known failure", hint
        )
    return CheckResult(check, "passed")


def parametrize_with_checks(methods: Iterable[type[Method] | Method]) -> Any:
    """A pytest decorator that runs the test with every check of every method, as a function to call.

    ::

        @parametrize_with_checks([MyMethod])
        def test_my_method_follows_the_contract(check):
            check()

    A failing check raises ``MethodError``, which says what to change. A check in the method's ``known_failures`` is a
    strict xfail.

    Args:
        methods: classes, tested with their defaults, or objects with other parameters, such as fewer epochs.
    """
    import pytest

    cases = []
    for method in methods:
        name = (method if isinstance(method, type) else type(method)).__name__
        subject = _make_subject(name, method)
        for check in CHECKS:
            reason = subject.cls.known_failures.get(check)
            marks = [pytest.mark.xfail(reason=reason, strict=True, raises=HarnessError)] if reason else []
            cases.append(pytest.param(partial(_raise, check, subject), id=f"{name}-{check}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def _raise(check: str, subject: Subject) -> None:
    try:
        CHECKS[check](subject)
    except FixedVocabulary as error:
        raise MethodError(*_describe(subject, error)) from error


def _describe(subject: Subject, error: HarnessError) -> tuple[str, str]:
    if isinstance(error, FixedVocabulary):
        hint = "raise FixedVocabulary for foreign names only"
        return f"{subject.name}.scores refused the names of its task: {error.message}", hint
    return error.message, error.hint or ""


def _make_subject(name: str, method: type[Method] | Method) -> Subject:
    if isinstance(method, type):
        method = with_defaults(name, method)
    unknown = sorted(set(method.known_failures) - set(CHECKS))
    if unknown:
        raise MethodError(
            f"{name}.known_failures names {unknown[0]!r}, which is not a check", f"checks: {', '.join(CHECKS)}"
        )
    return Subject(name, method)
