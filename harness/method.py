"""The contract of a method: one class with ``fit`` and ``scores``. Plugin authors also need ``harness.hookspecs``.

A method is a dataclass. Its fields are its parameters, with types and defaults; ``__init__`` only stores them. Bounds
are part of the type, for example ``Annotated[int, Field(ge=1)]`` with pydantic's ``Field``. Values must be JSON:
numbers, strings, booleans, None, enums, lists, dictionaries and dataclasses, but no sets. A file that a method reads is
a parameter of type ``File``, for example ``sentences: File | None = None``: the command line takes its path, the method
calls ``self.sentences.read_text()``, and its sha256 is part of every result. Names of learned attributes end in an
underscore. ``fit`` receives a ``Task`` with exactly what the method declares in ``needs``; ``scores`` is then called
with the OOP, the IP and the joint vocabulary. Random numbers come only from ``task.generator``: draw them on the CPU
and move them to ``task.device``. Everything else stays on that device, where sums must have a fixed order.
"""

from __future__ import annotations

import dataclasses
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import HarnessError, PluginError, UserError, describe_error, one_line, unknown_name
from harness.file_parameter import File as File
from harness.parameters import format_value, parse_value, require_recordable, type_adapters, type_text
from harness.types.paper import Paper
from harness.types.task import Needs, Pool

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.discovery import Discovery
    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

CONTRACT = 2
"""Version of this contract. A plugin says ``harness_contract = 2``; one made for another version is refused."""


MOST_VIEWS = 256
"""Views of a support image that a method can ask for: all are encoded before it runs."""


class Method(ABC):
    """Base class of every method."""

    needs: ClassVar[Needs] = Needs()
    """What ``fit`` reads from its task."""

    seeded: ClassVar[bool] = True
    """Whether results depend on the seed. False means that ``fit`` draws no random numbers. Such a method is run once
    if no few-shot images are drawn, and otherwise once for each draw."""

    text: ClassVar[bool] = True
    """Whether the method uses the text tower. False means that it also works with a vision-only backbone, and that
    reading ``task.text`` raises there."""

    paper: ClassVar[Paper | None] = None
    """The publication of the method."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named parameter settings. ``paper`` holds the values of the LAION-Beyond paper or, if it did not run the method,
    of the method's own paper; the docstring says where the two differ."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of ``harness plugins check`` that the method is expected to fail, each with the reason. One that passes
    is reported as a failure."""

    views: int = 1
    """Views of each support image for ``fit``: the test view, then random crops. Override it with a field."""

    test_views: int = 1
    """Views of each scored image: the test view, then random crops. Override it with a field."""

    encoders: tuple[str, ...] = ()
    """Second image encoders: names of timm models, for ``Images.encoded``. Override it with a field."""

    crop: float = 0.08
    """Minimum area of a random crop, as a fraction of the image. Override it with a field to make it a parameter."""

    pool: Pool = "train-unlabeled"
    """The unlabeled images for ``fit``, if it needs any. Override it with a field to make it a parameter."""

    @abstractmethod
    def fit(self, task: Task) -> Self:
        """Learn from the task and return self."""

    def encode(self, images: Images) -> Images:
        """The scored images with what the method computes for each of them, once for all vocabularies.

        A method with a tuned image tower returns ``images.with_features(...)``. The default changes nothing.
        """
        return images

    @abstractmethod
    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scores before softmax.

        Args:
            images: m images, as ``encode`` returned them, in arbitrary order; ``images.features[:, 0]`` is ``(m, d)``.
            vocabulary: the k names to score.

        Returns:
            ``(m, k)`` finite floating-point scores, one column per name.

        Raises:
            FixedVocabulary: the method cannot score names it was not fitted on.
        """

    def discovery(self) -> Discovery | None:
        """The clusters of the unlabeled pool and their names, if the method finds any; the harness evaluates them."""
        return None

    def outcome(self) -> dict[str, Any]:
        """Diagnostics of ``fit`` as plain JSON (rounds, matchings, decisions); stored in the cell."""
        return {}

    def trainable(self) -> int:
        """Number of learned values, for the cost columns of the leaderboard."""
        return 0


def parameters(method: Method) -> dict[str, Any]:
    """The parameters of a method as name -> value."""
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(typing.cast(Any, method)) if f.init}


def build(name: str, cls: type[Method], preset: str | None = None, values: Mapping[str, Any] | None = None) -> Method:
    """Create a method from a preset and single values; values and defaults are converted to the declared types.

    A ``CommandLineText`` is parsed; any other string is taken literally.

    Raises:
        UserError: an unknown preset or parameter, or a value that does not fit its type.
        PluginError: the class cannot be instantiated with these values, or has an invalid attribute.
    """
    try:
        made = construct(name, cls, preset, values or {})
        _require_valid_attributes(name, made)
    except HarnessError:
        raise
    except Exception as error:  # third-party code may raise anything
        hint = "give every field a default and a type that pydantic supports; __init__ only stores the fields"
        raise PluginError(f"{name} cannot be created: {describe_error(error)}", hint) from error
    return made


def construct(name: str, cls: type[Method], preset: str | None, values: Mapping[str, Any]) -> Method:
    """Like ``build``, for a class and values that were checked: what the class itself raises passes through."""
    from pydantic import ValidationError  # deferred: listing plugins does not need it

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
    # Defaults are converted too: 1 for a float becomes 1.0, wherever it comes from.
    for key, value in (_defaults(cls) | chosen).items():
        try:
            typed[key] = parse_value(known[key], value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            if key in chosen:
                raise UserError(
                    f"{name}: parameter {key}={value!r} is not valid: {reason}", _example(cls, key)
                ) from None
            hint = "annotate the field with the type of its default, for example int | None for None"
            raise PluginError(f"{name}: the default {key}={value!r} is not valid: {reason}", hint) from None
        except UserError as error:
            raise UserError(f"{name}: parameter {key}: {error.message}", error.hint) from None
    return cls(**typed)


def _example(cls: type[Method], key: str) -> str:
    """What a parameter is, and how its default is written on the command line."""
    from pydantic_core import to_jsonable_python

    kind, defaults = type_text(typing.get_type_hints(cls, include_extras=True)[key]), _defaults(cls)
    example = f", for example -p {key}={format_value(to_jsonable_python(defaults[key]))}" if key in defaults else ""
    return f"give {kind}{example}"


def _is_count(views: Any) -> bool:
    return type(views) is int and 1 <= views <= MOST_VIEWS


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, str) and each for each in value)


def _defaults(cls: type[Method]) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(typing.cast(Any, cls)):
        if field.init and field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.init and field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _require_valid_attributes(name: str, method: Method) -> None:
    """Check the attributes of a method that the harness reads.

    Raises:
        PluginError: an attribute has a wrong type or value.
    """
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    named = isinstance(method.presets, Mapping) and all(isinstance(v, Mapping) for v in method.presets.values())
    for what, good, form in (
        ("needs", isinstance(method.needs, Needs), "a Needs, for example Needs(support=True)"),
        ("seeded", isinstance(method.seeded, bool), "True or False"),
        ("text", isinstance(method.text, bool), "True or False"),
        ("views", _is_count(method.views), f"an integer from 1 to {MOST_VIEWS}"),
        ("test_views", _is_count(method.test_views), f"an integer from 1 to {MOST_VIEWS}"),
        ("encoders", _are_texts(method.encoders), "a tuple of names, such as ('vit_small_patch14_dinov2.lvd142m',)"),
        (
            "crop",
            isinstance(method.crop, int | float) and 0 < method.crop <= 1,
            "a fraction of the area, above 0 and at most 1",
        ),
        ("pool", method.pool in typing.get_args(Pool), " or ".join(typing.get_args(Pool))),
        (
            "paper",
            method.paper is None or isinstance(method.paper, Paper),
            "None or a harness.Paper",
        ),
        ("presets", named, "a dictionary of dictionaries, such as {'paper': {'lr': 0.002}}"),
        ("known_failures", isinstance(method.known_failures, Mapping), "a dictionary: check -> reason"),
    ):
        if not good:
            raise PluginError(f"{name}.{what} is {getattr(method, what)!r}", f"{what} must be {form}")
    require_recordable(type(method), name, parameters(method))
    try:
        to_jsonable_python(parameters(method))
    except PydanticSerializationError as error:
        hint = "a parameter is a number, string, boolean or None, or a list of them; create other objects in fit"
        raise PluginError(f"{name}: its parameters cannot be stored as JSON: {one_line(error)}", hint) from None
