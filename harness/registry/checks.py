"""Checks what a plugin's hook returned when the plugin is loaded; ``CHECKS`` maps kinds to checks.

Each check is given the entry point's name and the returned object, and returns the value to use or raises PluginError.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from harness.errors import HarnessError, PluginError, describe_error, one_line
from harness.execution.global_state import preserve_global_state
from harness.hookspecs import BackboneOffer, DatasetOffer
from harness.method import Method, build
from harness.observer import Observer
from harness.registry.entry_points import Kind

if TYPE_CHECKING:
    from harness.execution.executors import OpenExecutor
    from harness.metrics import Answers, Metric
    from harness.protocols import Protocol

Value = TypeVar("Value")


def built_in(kind: Kind) -> Mapping[str, Any]:
    """What the harness itself has of a kind without a plugin, by name: protocols, metrics and executors."""
    if kind == "protocol":  # imported here, because listing plugins does without
        from harness.protocols import PROTOCOLS

        return PROTOCOLS
    if kind == "metric":
        from harness.metrics.built_in import BUILT_IN

        return BUILT_IN
    if kind == "executor":
        from harness.execution.built_in import EXECUTORS

        return EXECUTORS
    return {}


def checked_method(name: str, value: Any) -> type[Method]:
    """A method's class, which can be used with its defaults."""
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
    """A backbone's offer with copies of what is stated, which cannot change later."""
    offer = _instance(value, BackboneOffer, "harness.hookspecs")
    for part in ("embed_dim", "vision_cfg", "text_cfg"):
        if part not in offer.config:
            raise PluginError(f"offers a backbone whose config has no {part}")
    if offer.weights is not None and not callable(offer.weights):
        raise PluginError("offers a backbone whose weights are not a function that returns a path")
    stated = None if offer.preprocessing is None else _as_json("preprocessing", offer.preprocessing)
    weights = None if offer.weights is None else preserve_global_state()(offer.weights)
    return BackboneOffer(_as_json("config", offer.config), weights, offer.corpus, stated)


def checked_protocol(name: str, value: Any) -> Protocol:
    """A protocol whose id is the entry point's name, and no built-in protocol's."""
    from harness.protocols import Protocol
    from harness.types.cell import Decoding

    protocol: Protocol = _instance(value, Protocol, "harness.protocols")  # type: ignore[type-abstract]
    _require_own_name("protocol", "id", getattr(protocol, "id", None), name)
    if protocol.decoding not in get_args(Decoding):
        known = ", ".join(get_args(Decoding))
        raise PluginError(f"offers a protocol with decoding {protocol.decoding!r}, which is none of {known}")
    return protocol


def checked_dataset(name: str, value: Any) -> DatasetOffer:
    """A data set's offer, which names a folder and has a function that prepares it."""
    offer = _instance(value, DatasetOffer, "harness.hookspecs")
    if not offer.folder or Path(offer.folder).name != offer.folder:
        raise PluginError(f"offers a data set whose folder is {offer.folder!r}; it must be the name of a folder")
    if not callable(offer.prepare):
        raise PluginError("offers a data set whose prepare is not a function")
    return dataclasses.replace(offer, prepare=preserve_global_state()(offer.prepare))


def checked_metric(name: str, value: Any) -> Metric:
    """A copy whose functions raise only PluginError; its name is the entry point's, and no built-in metric's."""
    from harness.metrics.metric import Metric

    metric = _instance(value, Metric, "harness.metrics")
    _require_own_name("metric", "name", metric.name, name)
    resampling = metric.resampling and dataclasses.replace(
        metric.resampling,
        measure=_contained(name, metric.resampling.measure),
        combine=_contained(name, metric.resampling.combine),
        derivatives=metric.resampling.derivatives and _contained(name, metric.resampling.derivatives),
    )
    return dataclasses.replace(metric, function=_number(name, metric.function), resampling=resampling)


def checked_observer(name: str, value: Any) -> Observer:
    """An observer."""
    return _instance(value, Observer, "harness.observer")


def checked_executor(name: str, value: Any) -> OpenExecutor:
    """A function that opens an executor, whose name is not one of the harness's own."""
    if not callable(value):
        raise PluginError(f"offers {one_line(value)}, which is not a function that opens an executor")
    _require_own_name("executor", "name", name, name)
    return value  # type: ignore[no-any-return]


def _instance(value: Any, cls: type[Value], module: str) -> Value:
    if not isinstance(value, cls):
        raise PluginError(f"offers {one_line(value)}, which is not an instance of {module}.{cls.__name__}")
    return value


def _require_own_name(kind: Kind, field: str, stated: Any, name: str) -> None:
    if stated != name:
        raise PluginError(f"offers a {kind} with {field} {stated!r}; its entry point's name is {name}")
    if name in built_in(kind):
        raise PluginError(f"offers the {kind} {name!r}, which comes with the harness: it needs another name")


def _number(name: str, function: Callable[..., Any]) -> Callable[..., float | None]:
    """A metric's function, which is given copies and returns a finite number or None, or raises PluginError."""
    from harness.metrics.metric import LARGEST

    contained = _contained(name, function)

    def checked(*answers: Answers) -> float | None:
        value = contained(*(type(own)(*(column.copy() for column in own)) for own in answers))
        if value is None:
            return None
        if not isinstance(value, Real) or not -LARGEST <= value <= LARGEST:  # type: ignore[operator]
            what = f"{one_line(value)}, which is not a finite number below {LARGEST:g}"
            raise PluginError(f"metric {name} returned {what}")
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
    "observer": checked_observer,
    "executor": checked_executor,
}


def _as_json(what: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of what a plugin states: it decides numbers, so it must be storable and not change later."""
    try:
        return dict(json.loads(json.dumps(value, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise PluginError(f"offers a backbone whose {what} is not JSON: {one_line(error)}") from None
