"""The contract of a method: one class, two functions. A plugin author needs this page and ``harness.hookspecs``.

A method is a dataclass. Its fields are its parameters, with types and defaults; ``__init__`` only stores them. Bounds
stand in the type, for example ``Annotated[int, Field(ge=1)]`` with pydantic's ``Field``. A value is whatever JSON can
keep: numbers, words, booleans, None, enums, lists, tables, dataclasses; no sets. A file that a method reads is a
parameter of type ``File``, for example ``sentences: File | None = None``: the command line takes its path, the method
calls ``self.sentences.read_text()``, and its sha256 is part of every result. What is learned ends in an underscore.
``fit`` gets a ``Task`` with what the method declared in ``needs`` and nothing else; ``scores`` is then asked for the
OOP, the IP and the joint vocabulary. Randomness comes from ``task.generator`` alone: draw on the CPU and move the
numbers to ``task.device``. Everything else stays on that device, where CUDA has to take sums in a fixed order.
"""

from __future__ import annotations

import dataclasses
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import HarnessError, PluginError, UserError, one_line, unknown_name
from harness.file_parameter import File as File
from harness.parameters import parse_value, require_recordable, type_adapters
from harness.types.task import Needs, Pool

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.discovery import Discovery
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

CONTRACT = 1
"""Version of this contract. A plugin says ``harness_contract = 1``; one made for another version is refused."""


class Method(ABC):
    """Base class of every method."""

    needs: ClassVar[Needs] = Needs()
    """What ``fit`` wants to see."""

    seeded: ClassVar[bool] = True
    """Whether results depend on the seed. False says that ``fit`` draws nothing: the same task always has the same
    answer. Such a method is run once where no few-shot images are drawn, and once for each draw otherwise."""

    paper: ClassVar[str] = ""
    """Where the method was published."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named parameter settings. ``paper`` is what the LAION-Beyond paper ran or, where it did not run the method, what
    the method's own paper states; a docstring says where the two differ."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of ``harness plugins check`` that the method is known to fail, each with the reason. A check that is named
    here and does not fail is a failure."""

    views: int = 1
    """Views of each support image that ``fit`` wants: the test view, then random crops. Override it with a field."""

    crop: float = 0.08
    """Least share of the area that a view's random crop has. Override it with a field, so that it is a parameter."""

    pool: Pool = "train-unlabeled"
    """The unlabeled images that ``fit`` wants, if it needs any. Override it with a field, so that it is a parameter."""

    @abstractmethod
    def fit(self, task: Task) -> Self:
        """Learn from the task and return self."""

    @abstractmethod
    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores before softmax.

        Args:
            image: ``(m, d)`` unit rows, the test views of m images, in no particular order.
            vocabulary: the k names to score.

        Returns:
            ``(m, k)`` finite floating-point scores, one column per name.

        Raises:
            FixedVocabulary: the method cannot score names it was not fitted on.
        """

    def discovery(self) -> Discovery | None:
        """The clusters of the unlabeled pool and their names, if the method finds any; the harness judges them."""
        return None

    def outcome(self) -> dict[str, Any]:
        """What ``fit`` went through, as plain JSON (rounds, matchings, decisions); it is kept in the cell."""
        return {}

    def trainable(self) -> int:
        """How many numbers were learned; for the cost columns of the leaderboard."""
        return 0


def parameters(method: Method) -> dict[str, Any]:
    """The parameters of a method, by name."""
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(typing.cast(Any, method)) if f.init}


def build(name: str, cls: type[Method], preset: str | None = None, values: Mapping[str, Any] | None = None) -> Method:
    """Make a method from a preset and single values; these and the defaults are converted to the declared types.

    ``Text`` is read as on a command line, any other string as itself.

    Raises:
        UserError: no such preset or parameter, or a value that does not fit its type.
        PluginError: the class cannot be made with these values, or has not the form that the harness needs.
    """
    try:
        made = _construct(name, cls, preset, values or {})
        _require_valid_attributes(name, made)
    except HarnessError:
        raise
    except Exception as error:  # a class may do anything when it is made or read
        hint = "every field has a default and a type that pydantic can read; __init__ only stores the fields"
        raise PluginError(f"{name} cannot be made: {type(error).__name__}: {one_line(error)}", hint) from error
    return made


def _construct(name: str, cls: type[Method], preset: str | None, values: Mapping[str, Any]) -> Method:
    from pydantic import ValidationError  # here, because listing plugins does without

    chosen: dict[str, Any] = {}
    if preset is not None:
        if preset not in cls.presets:
            raise unknown_name(f"preset of {name}", preset, cls.presets)
        chosen.update(cls.presets[preset])
    chosen.update(values)
    known = type_adapters(cls)
    for key in chosen:
        if key not in known:
            raise unknown_name(f"parameter of {name}", key, known)
    typed: dict[str, Any] = {}
    # Defaults are read as well: 1 for a float is 1.0, whoever says it.
    for key, value in (_defaults(cls) | chosen).items():
        try:
            typed[key] = parse_value(known[key], value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            if key in chosen:
                raise UserError(f"{name}: parameter {key}={value!r} is not valid: {reason}") from None
            hint = "annotate the field with the type of its default, for example int | None for None"
            raise PluginError(f"{name}: the default {key}={value!r} is not valid: {reason}", hint) from None
        except UserError as error:
            raise UserError(f"{name}: parameter {key}: {error.message}", error.hint) from None
    return cls(**typed)


def _defaults(cls: type[Method]) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(typing.cast(Any, cls)):
        if field.init and field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.init and field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _require_valid_attributes(name: str, method: Method) -> None:
    """See that what the harness reads of a method, whatever its parameters, is something that it can use.

    Raises:
        PluginError: it is not.
    """
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    named = isinstance(method.presets, Mapping) and all(isinstance(v, Mapping) for v in method.presets.values())
    for what, good, form in (
        ("needs", isinstance(method.needs, Needs), "a Needs, for example Needs(support=True)"),
        ("seeded", isinstance(method.seeded, bool), "True or False"),
        ("views", type(method.views) is int and method.views >= 1, "a whole number from 1 on"),
        (
            "crop",
            isinstance(method.crop, int | float) and 0 < method.crop <= 1,
            "a share of the area, up to 1",
        ),
        ("pool", method.pool in typing.get_args(Pool), " or ".join(typing.get_args(Pool))),
        ("presets", named, "a dictionary of dictionaries, such as {'paper': {'lr': 0.002}}"),
        ("known_failures", isinstance(method.known_failures, Mapping), "a dictionary: check -> reason"),
    ):
        if not good:
            raise PluginError(f"{name}.{what} is {getattr(method, what)!r}", f"{what} must be {form}")
    require_recordable(type(method), name, parameters(method))
    try:
        to_jsonable_python(parameters(method))
    except PydanticSerializationError as error:
        hint = "a parameter is a number, text, boolean or None, or a list of them; make other things in fit"
        raise PluginError(f"{name}: its parameters cannot be kept as JSON: {one_line(error)}", hint) from None
