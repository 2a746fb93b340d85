"""Resolve a run's methods: what each declares, asked in a separate process if its code is not the harness's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from harness import registry
from harness.device import require_torch
from harness.errors import HarnessError, PluginError, UserError
from harness.execution.jobs import JobFailure, Limits, Worker
from harness.file_parameter import File
from harness.files import expand_user
from harness.folders import cache_root
from harness.parameters import CommandLineText, walk_values
from harness.progress import Reporter
from harness.protocols import Protocol
from harness.registry import OWN, Origin
from harness.runner.chosen_method import ChosenMethod, MethodFacts, facts_of
from harness.runner.code_versions import harness_versions
from harness.runner.known_facts import KnownFacts
from harness.runner.method_processes import ANSWER_SECONDS, sandbox, start_server
from harness.runner.request import MethodChoice, Request
from harness.runner.resolve_plugins import note_broken
from harness.types.cell import Record, Sentence
from harness.types.task import Pool

ERRORS = {error.__name__: error for error in (UserError, PluginError)}

LONGEST_DESCRIPTION = 2**20
"""Bytes of what a method declares, as JSON."""

PLAIN = {type(None), bool, int, float, str, list, dict, CommandLineText}
"""Types of parameters whose JSON says everything about them."""

Facts = MethodFacts | HarnessError
"""What a method declares, or why it cannot be used."""


class _Error(Record):
    """An error on its way between processes."""

    error: str
    message: Sentence
    hint: Sentence | None


@dataclass(frozen=True)
class _Question:
    """A choice whose facts are asked for, with what the protocol gives: see ``facts_of``."""

    choice: MethodChoice
    preset: str | None
    pool: Pool | None
    origin: Origin | None  # None if nobody offers it, as loading says

    @property
    def is_foreign(self) -> bool:
        """Whether the method's code is neither the harness's own nor in this process already."""
        return self.choice.plugin is None and self.origin is not None and self.origin.distribution != OWN

    @property
    def digest(self) -> str | None:
        """Digest of everything that decides the facts: parameters, code and libraries.

        None for a method of another distribution, whose facts may depend on anything, and for parameters that are not
        plain values.
        """
        if self.is_foreign or self.choice.plugin is not None or self.origin is None:
            return None
        values = dict(self.choice.parameters)
        if not all(type(value) in PLAIN for value in walk_values(values)):
            return None
        typed = sorted(name for name, value in values.items() if type(value) is CommandLineText)
        choice = [self.choice.name, self.choice.preset, values, typed, self.preset, self.pool]
        with suppress(PluginError):  # its code cannot be read, as loading says
            decided_by = [choice, self.origin.edition, harness_versions()]
            return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
        return None

    @property
    def readable(self) -> Iterator[Path]:
        """Where its code is, and the files that the caller named as parameters."""
        yield from self.origin.places if self.origin else ()
        for value in walk_values(dict(self.choice.parameters)):
            if isinstance(value, File) and value.has_path:
                yield value.path
            elif isinstance(value, str | PurePath):
                with suppress(OSError, ValueError, HarnessError):
                    if (path := expand_user(Path(value))).is_file():
                        yield path

    def facts(self) -> Facts:
        try:
            return facts_of(self.choice, self.preset, self.pool)
        except HarnessError as error:
            return error


def require_installed(request: Request) -> None:
    """Check that the methods of a request exist, as far as metadata show.

    Raises:
        PluginError: one does not.
    """
    for choice in request.methods:
        if choice.plugin is None:
            registry.find("method", choice.name)


def resolve_methods(request: Request, protocol: Protocol, report: Reporter) -> list[ChosenMethod]:
    """The request's methods; for ``--plugin all`` those that work, with a note about every broken one.

    Raises:
        HarnessError: a method is broken or unknown, or a parameter is not valid.
    """
    optional = registry.names("method") if request.all_plugins else ()
    if request.all_plugins:
        note_broken(registry.broken(), "method", report)
    pool: Pool | None = "test-unlabeled" if protocol.scoring != "names" else None
    questions = [_Question(choice, protocol.preset, pool, _origin(choice)) for choice in request.methods]
    readable = [path for question in questions for path in question.readable]
    limits = Limits(seconds=ANSWER_SECONDS, sandbox=sandbox(request, readable=readable))
    found = []
    known = KnownFacts(cache_root(request.cache))
    for question, facts in zip(questions, _facts(questions, limits, known), strict=True):
        if isinstance(facts, MethodFacts):
            assert question.origin is not None
            if facts.warning:
                report.note(facts.warning)
            readable_files = question.readable if question.is_foreign else None
            found.append(ChosenMethod.of(question.choice, facts, question.origin, readable_files))
        elif isinstance(facts, PluginError) and question.choice.name in optional:
            report.note(f"left out: {facts.message}")
        else:
            raise facts
    return found


def _facts(questions: Sequence[_Question], limits: Limits, known: KnownFacts) -> list[Facts]:
    """The facts of every choice; methods of other distributions are imported in a process of each."""
    found: dict[int, Facts] = {
        number: facts for number, one in enumerate(questions) if (facts := known.get(one.digest)) is not None
    }
    if len(found) < len(questions):
        require_torch()  # before a plugin that needs it is taken for a broken one
    answers = {n: one.facts() for n, one in enumerate(questions) if n not in found and not one.is_foreign}
    known.put({questions[n].digest: facts for n, facts in answers.items() if isinstance(facts, MethodFacts)})
    found |= answers
    foreign = [number for number, question in enumerate(questions) if question.is_foreign]
    if foreign:
        start_server()
        asked = [questions[number] for number in foreign]
        origins = [question.origin for question in asked if question.origin is not None]
        from harness.execution.executors import processes  # a run of known methods starts none

        for result in processes(asked, _make_worker, limits, [origin.distribution for origin in origins]):
            found[foreign[result.number]] = _parsed(origins[result.number], result.value)
    return [found[number] for number in range(len(questions))]


def _origin(choice: MethodChoice) -> Origin | None:
    """Where the code of a choice comes from; None if nobody offers it."""
    with suppress(PluginError):
        return choice.plugin.origin if choice.plugin else registry.find("method", choice.name).origin
    return None


def _make_worker(device: str) -> Worker[_Question]:
    return _answer


def _answer(question: _Question) -> bytes:
    """Facts as JSON, for another process."""
    facts = question.facts()
    if isinstance(facts, MethodFacts):
        return facts.model_dump_json().encode()
    return _Error(error=type(facts).__name__, message=facts.message, hint=facts.hint).model_dump_json().encode()


def _parsed(origin: Origin, content: bytes | JobFailure) -> Facts:
    """Facts from another process, which may send anything."""
    if isinstance(content, JobFailure):
        return PluginError(f"{origin} {content.reason}", "fix or uninstall that distribution")
    if len(content) > LONGEST_DESCRIPTION:
        return PluginError(f"{origin} describes its method in {len(content)} bytes", "put large values into files")
    try:
        if content.startswith(b'{"error"'):
            error = _Error.model_validate_json(content)
            return ERRORS.get(error.error, PluginError)(error.message, error.hint)
        return MethodFacts.model_validate_json(content)
    except ValueError:
        return PluginError(f"{origin} sent something that is not a description of its method")
