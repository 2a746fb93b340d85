"""Checks of the class: construction, stored attributes, and the task fields that it reads."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.conformance.subject import DEFAULTS_HINT, DOMAIN, Subject, with_defaults
from harness.errors import FixedVocabulary, HarnessError, MethodError, one_line
from harness.method import build, parameters
from harness.runner.fit import report_of
from harness.types.cell import MethodRecord
from harness.types.images import Images, Support
from harness.types.task import Task

if TYPE_CHECKING:
    from torch import Tensor

NEED_OF_ATTRIBUTE = {
    need: need for need in ("support", "validation", "unlabeled", "ip", "clusters", "vocabulary", "texts", "model")
} | {"names": "vocabulary", "ip_names": "ip", "encode_image": "model", "projection": "preprojection"}
"""Attribute of a task -> the need that provides it."""

NEEDS_OF_IMAGES = {"preprojection", "tokens", "pixels"}
"""Needs that are read from images; of a stream ``scores`` gets one image at a time, which is not read."""


def default_constructible(subject: Subject) -> None:
    """The class can be created without arguments, and only stores its parameters."""
    made, hint = with_defaults(subject.name, subject.cls), DEFAULTS_HINT
    given = parameters(made)
    if parameters(subject.cls(**given)) != given:
        raise MethodError(f"{subject.name} changes parameters when it is created", hint)
    fields = {field.name for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    extra = sorted(set(vars(made)) - fields)
    if extra:
        raise MethodError(f"{subject.name} has {extra[0]!r} before fit, which is not a field", hint)
    if not (subject.cls.__doc__ or "").strip() or subject.cls.__doc__.startswith(f"{subject.cls.__name__}("):  # type: ignore[union-attr]
        raise MethodError(f"{subject.name} has no docstring", "its first line is shown by `harness plugins`")


def parameters_survive_json(subject: Subject) -> None:
    """Parameters, also those of every preset, survive a round trip through JSON."""
    for preset in (None, *subject.cls.presets):
        method = build(subject.name, subject.cls, preset) if preset else subject.fresh()
        given = parameters(method)
        where = f"preset {preset!r}" if preset else "parameters"
        try:
            record = MethodRecord(name="", distribution="", version="", code="", parameters=given, needs=())
            again = MethodRecord.model_validate_json(record.model_dump_json())
            back = parameters(build(subject.name, subject.cls, values=again.parameters))
        except (HarnessError, ValueError, TypeError) as error:
            reason = one_line(error)
            hint = "use numbers, strings, booleans, None, lists and tuples of them, with type annotations"
            raise MethodError(f"{subject.name}: its {where} cannot be stored as JSON: {reason}", hint) from error
        for key, value in given.items():
            if back[key] != value:
                hint = "annotate the field with the type of its value"
                message = f"{subject.name}: {key}={value!r} is read back from JSON as {back[key]!r}"
                raise MethodError(message, hint)


def fit_returns_self(subject: Subject) -> None:
    """``fit`` returns the method itself."""
    method = subject.fresh()
    returned: list[Any] = []
    original = type(method).fit

    def recording_fit(task: Task) -> Any:
        returned.append(original(method, task))

    method.fit = recording_fit  # type: ignore[method-assign]
    subject.fit(DOMAIN, method=method)
    if returned[0] is not method:
        raise MethodError(f"{subject.name}.fit returned {type(returned[0]).__name__}", "end fit with `return self`")


def scores_before_fit_raise(subject: Subject) -> None:
    """``scores`` raises before ``fit``."""
    try:
        subject.fresh().scores(subject.images(DOMAIN), DOMAIN.vocabulary)
    except FixedVocabulary:
        hint = "FixedVocabulary is for foreign names after fit; before fit let the missing attribute raise"
        raise MethodError(f"{subject.name}.scores raised FixedVocabulary before fit", hint) from None
    except (Exception, SystemExit):
        return
    hint = "store what scores needs in attributes that fit sets, such as self.task_"
    raise MethodError(f"{subject.name}.scores returned scores before fit", hint)


def learned_names_end_in_underscore(subject: Subject) -> None:
    """``fit`` changes no parameter, and names of learned attributes end in an underscore."""
    method = subject.fresh()
    given = deepcopy(parameters(method))  # a list may be modified in place
    known = set(vars(method))
    subject.fit(DOMAIN, method=method)
    changed = [name for name, value in parameters(method).items() if value is not given[name] and value != given[name]]
    if changed:
        hint = f"parameters are inputs; store the value in another attribute, such as {changed[0]}_"
        raise MethodError(f"{subject.name}.fit changed the parameter {changed[0]!r}", hint)
    wrong = sorted(name for name in set(vars(method)) - known if not name.endswith("_"))
    if wrong:
        raise MethodError(f"{subject.name}.fit set the attribute {wrong[0]!r}", f"call it {wrong[0]}_")


def declared_needs(subject: Subject) -> None:
    """``fit``, ``encode`` and ``scores`` read exactly the declared needs and encoders, and do not probe for others."""
    of_task, of_images = list[str](), set[str]()
    task = _recording_task(subject.task(DOMAIN), of_task, of_images)
    try:
        method = subject.fit(DOMAIN, task=task)
        images = RecordingImages(**_values(subject.images(DOMAIN), Images), seen=of_images)
        subject.scores(method, images, DOMAIN.vocabulary)
    finally:
        _require_declared(subject, of_task, of_images)
    needs = {NEED_OF_ATTRIBUTE.get(name, name) for name in of_task if name != "projection"} | of_images
    declared = {"support" if need == "captions" else need for need in subject.method.needs.declared()} - {"stream"}
    for unread in sorted(declared - needs):
        hint = f"remove {unread} from its needs: they are columns of the leaderboard"
        raise MethodError(f"{subject.name} declares {unread} but never reads it", hint)
    for unread in sorted({*subject.method.encoders} - of_images):
        hint = "remove it from the method's encoders: every image is encoded with it"
        raise MethodError(f"{subject.name} declares the encoder {unread} but never reads its features", hint)


def _require_declared(subject: Subject, of_task: list[str], of_images: set[str]) -> None:
    """Check what was read; also what the method tried to read and was refused."""
    private = [name for name in of_task if name.startswith("_")]
    if private:
        hint = "fields with a leading underscore are not part of the contract"
        raise MethodError(f"{subject.name}.fit reads task.{private[0]}", hint)
    for name in of_task:
        need = NEED_OF_ATTRIBUTE.get(name)
        if need is not None and not subject.method.needs.includes(need):
            hint = f"add {need}=True to the method's needs, or do not read it"
            raise MethodError(f"{subject.name}.fit reads task.{name} without declaring {need}", hint)
    for name in sorted(of_images - {*subject.method.needs.declared(), *subject.method.encoders}):
        known = name in NEEDS_OF_IMAGES
        hint = f"add {name}=True to the method's needs" if known else "add its name to the method's encoders"
        raise MethodError(f"{subject.name} reads {name} of images without declaring it", f"{hint}, or do not read it")


def report_is_json(subject: Subject) -> None:
    """``outcome`` is a dictionary that JSON can store, and ``trainable`` an integer; runs leave out what is invalid."""
    remarks = report_of(subject.fitted(), subject.name).remarks
    if remarks:
        hint = "return plain numbers and strings from outcome, and an integer from trainable"
        raise MethodError(remarks[0], hint)


class RecordingTask(Task):
    """A task that records in ``seen`` which of its fields are read.

    What is read of another task ``with_support`` is not recorded: its support is the method's own.
    """

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if not name.startswith("__"):
            own.get("seen", []).append(name)  # absent during construction
        if name in (*NEED_OF_ATTRIBUTE, "with_support", "as_part"):
            plain = Task(**{f.name: object.__getattribute__(self, f.name) for f in dataclasses.fields(Task)})
            found = getattr(plain, name)
            if name != "as_part":
                return found
            return lambda *given: _recording_task(found(*given), own["seen"], own["of_images"])
        return object.__getattribute__(self, name)


@dataclass(frozen=True)
class RecordingImages(Images):
    """Images that record in ``seen`` which of their kinds are read, and pass it on to some of them."""

    seen: set[str] = field(default_factory=set, kw_only=True)

    def pixels(self, rows: Tensor, view: int | Tensor = 0) -> Tensor:
        """See ``Images``."""
        self.seen.add("pixels")
        return super().pixels(rows, view)

    def _kind(self, name: str, hint: str) -> Tensor:
        self.seen.add(name)
        return super()._kind(name, hint)


@dataclass(frozen=True)
class RecordingSupport(RecordingImages, Support):
    """Labelled images that record which of their kinds are read."""


def _recording_task(given: Task, of_task: list[str], of_images: set[str]) -> RecordingTask:
    """The same task, which records what is read of it and of its images."""
    values = _values(given, Task)
    for name, value in values.items():
        if isinstance(value, Images):
            kind, cls = (Support, RecordingSupport) if isinstance(value, Support) else (Images, RecordingImages)
            values[name] = cls(**_values(value, kind), seen=of_images)
    task = RecordingTask(**values)
    object.__setattr__(task, "seen", of_task)
    object.__setattr__(task, "of_images", of_images)
    return task


def _values(made: Any, cls: type) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in dataclasses.fields(cls)}
