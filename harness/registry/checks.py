"""Checks what a plugin's hook returned when the plugin is loaded; ``CHECKS`` maps kinds to checks."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from harness.errors import HarnessError, PluginError, describe_error, one_line
from harness.execution.global_state import preserve_global_state
from harness.hookspecs import BackboneOffer, DatasetOffer
from harness.method import Method, build
from harness.registry.entry_points import Kind

if TYPE_CHECKING:
    from harness.metrics import Answers, Metric
    from harness.protocols import Protocol


def checked_method(name: str, value: Any) -> type[Method]:
    """A method's class; raises PluginError unless it can be used with its defaults."""
    if not (isinstance(value, type) and issubclass(value, Method)):
        raise PluginError(f"offers {one_line(value)}, which is not a subclass of harness.method.Method")
    if inspect.isabstract(value):
        missing = ", ".join(sorted(value.__abstractmethods__))
        raise PluginError(f"offers {value.__name__}, which does not implement {missing}")
    if not dataclasses.is_dataclass(value):
        raise PluginError(f"offers {value.__name__}, which is not a dataclass")
    try:
        build(name, value)
    except HarnessError as error:
        raise PluginError(f"offers {value.__name__}, which cannot be used: {error.message}") from error
    return value


def checked_backbone(name: str, value: Any) -> BackboneOffer:
    """A backbone's offer with copies of what is stated, which cannot change later; raises PluginError."""
    if not isinstance(value, BackboneOffer):
        raise PluginError(f"offers {one_line(value)}, which is not a harness.hookspecs.BackboneOffer")
    for part in ("embed_dim", "vision_cfg", "text_cfg"):
        if part not in value.config:
            raise PluginError(f"offers a backbone whose config has no {part}")
    if value.weights is not None and not callable(value.weights):
        raise PluginError("offers a backbone whose weights are not a function that returns a path")
    stated = None if value.preprocessing is None else _as_json("preprocessing", value.preprocessing)
    weights = None if value.weights is None else preserve_global_state()(value.weights)
    return BackboneOffer(_as_json("config", value.config), weights, value.corpus, stated)


def checked_protocol(name: str, value: Any) -> Protocol:
    """A protocol; raises PluginError if its id is not the entry point's name, or is a built-in protocol's."""
    from harness.protocols import PROTOCOLS, Protocol  # here, because listing plugins does not need it
    from harness.types.cell import Decoding

    if not isinstance(value, Protocol):
        raise PluginError(f"offers {one_line(value)}, which is not an instance of harness.protocols.Protocol")
    if getattr(value, "id", None) != name:
        raise PluginError(f"offers a protocol with id {getattr(value, 'id', None)!r}; its entry point's name is {name}")
    if name in PROTOCOLS:
        raise PluginError(f"offers the protocol {name!r}, which comes with the harness: it needs another name")
    if value.decoding not in get_args(Decoding):
        raise PluginError(f"offers a protocol with decoding {value.decoding!r}; it must be one of {get_args(Decoding)}")
    return value


def checked_dataset(name: str, value: Any) -> DatasetOffer:
    """A data set's offer; raises PluginError unless it names a folder and has a function that prepares it."""
    if not isinstance(value, DatasetOffer):
        raise PluginError(f"offers {one_line(value)}, which is not a harness.hookspecs.DatasetOffer")
    if not value.folder or Path(value.folder).name != value.folder:
        raise PluginError(f"offers a data set whose folder is {value.folder!r}; it must be the name of a folder")
    if not callable(value.prepare):
        raise PluginError("offers a data set whose prepare is not a function")
    return dataclasses.replace(value, prepare=preserve_global_state()(value.prepare))


def checked_metric(name: str, value: Any) -> Metric:
    """A copy whose functions raise only PluginError; raises it if the name is not the entry point's, or is built in."""
    from harness.metrics.built_in import BUILT_IN  # here, because listing plugins does without
    from harness.metrics.metric import Metric

    if not isinstance(value, Metric):
        raise PluginError(f"offers {one_line(value)}, which is not a harness.metrics.Metric")
    if value.name != name:
        raise PluginError(f"offers a metric with name {value.name!r}; its entry point's name is {name}")
    if name in BUILT_IN:
        raise PluginError(f"offers the metric {name!r}, which comes with the harness: it needs another name")
    resampling = value.resampling and dataclasses.replace(
        value.resampling,
        measure=_contained(name, value.resampling.measure),
        combine=_contained(name, value.resampling.combine),
    )
    return dataclasses.replace(value, function=_number(name, value.function), resampling=resampling)


def _number(name: str, function: Callable[..., Any]) -> Callable[..., float | None]:
    """A metric's function, which is given copies and returns a finite number or None, or raises PluginError."""
    from harness.metrics.metric import LARGEST

    contained = _contained(name, function)

    def checked(*answers: Answers) -> float | None:
        value = contained(*(type(own)(*(column.copy() for column in own)) for own in answers))
        if value is None:
            return None
        if not isinstance(value, Real) or not -LARGEST <= value <= LARGEST:  # type: ignore[operator]
            raise PluginError(
                f"metric {name} returned {one_line(value)}, which is not a finite number below {LARGEST:g}"
            )
        return float(value)

    return checked


def _contained(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A metric's function, after which global state is restored; what it raises becomes PluginError."""

    @wraps(function)
    def contained(*arguments: Any) -> Any:
        try:
            with preserve_global_state():
                return function(*arguments)
        except (Exception, SystemExit) as error:
            raise PluginError(f"metric {name} raised {describe_error(error)}") from error

    return contained


CHECKS: dict[Kind, Callable[[str, Any], Any]] = {
    "method": checked_method,
    "backbone": checked_backbone,
    "protocol": checked_protocol,
    "dataset": checked_dataset,
    "metric": checked_metric,
    "observer": lambda name, hook: lambda cell: hook(cell=cell),  # a hook takes keywords only
}


def _as_json(what: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of what a plugin states: it decides numbers, so it must be storable and not change later."""
    try:
        return dict(json.loads(json.dumps(value, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise PluginError(f"offers a backbone whose {what} is not JSON: {one_line(error)}") from None
