"""Loads one plugin: imports it, calls its hooks, and checks what it offers."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakKeyDictionary

import pluggy

from harness import hookspecs
from harness.errors import HarnessError, PluginError, error_location, one_line
from harness.execution.global_state import preserve_global_state
from harness.method import CONTRACT, Method, build
from harness.registry.source import NO_MODULE, contract, module_of, other_contract

if TYPE_CHECKING:
    from harness import protocols
    from harness.types.cell import Cell


@dataclass(frozen=True)
class BackboneOffer:
    """A model that a plugin offers; see ``RegisterBackbone``."""

    config: Mapping[str, Any]
    weights: Callable[[], Path] | None
    corpus: str
    preprocessing: Mapping[str, Any] | None = None


@dataclass
class Offers:
    """What one plugin offers, by name."""

    methods: dict[str, type[Method]] = field(default_factory=dict)
    backbones: dict[str, BackboneOffer] = field(default_factory=dict)
    protocols: dict[str, protocols.Protocol] = field(default_factory=dict)
    observer: Callable[[Cell], None] | None = None
    changed: tuple[str, ...] = ()
    """Shared settings that the plugin changed when it was imported or registered; they were put back."""

    def names(self) -> list[tuple[str, str]]:
        """(kind, name) of everything that has a name."""
        kinds = {"method": self.methods, "backbone": self.backbones, "protocol": self.protocols}
        return [(kind, name) for kind, offers in kinds.items() for name in offers]  # type: ignore[attr-defined]


_changed: WeakKeyDictionary[ModuleType, tuple[str, ...]] = WeakKeyDictionary()
"""What modules changed when they were imported, which happens once."""


def load_plugin(point: EntryPoint) -> Offers:
    """Import a plugin and collect what it offers. What it prints meanwhile goes to stderr; shared state is put back.

    Raises:
        PluginError: it cannot be used; the message says why, and the caller says which plugin it is.
    """
    with preserve_global_state() as changed:
        offers = _collect(point)
    offers.changed = _changed.setdefault(sys.modules[point.module], tuple(changed))
    return offers


def _collect(point: EntryPoint) -> Offers:
    if not module_of(point):
        raise PluginError(NO_MODULE)
    _require_contract(contract(point.module))  # before the import, which may need what only another contract has
    with contextlib.redirect_stdout(sys.stderr):
        with _explained("failed to import", point):
            module = point.load()
        _require_contract(getattr(module, "harness_contract", CONTRACT))
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        offers = Offers()
        with _explained("failed to register", point):
            manager.register(module, point.name)
            manager.check_pending()
            manager.hook.harness_register_methods(register=_Methods(offers))
            manager.hook.harness_register_backbones(register=_Backbones(offers))
            manager.hook.harness_register_protocols(register=_Protocols(offers))
    if manager.hook.harness_cell_finished.get_hookimpls():
        offers.observer = lambda cell: manager.hook.harness_cell_finished(cell=cell)
    unmarked = [name for name in vars(module) if name.startswith("harness_") and callable(getattr(module, name))]
    unmarked = [name for name in unmarked if not hasattr(getattr(module, name), f"{hookspecs.PROJECT}_impl")]
    if unmarked:
        raise PluginError(f"defines {unmarked[0]}, which must be marked with @hookimpl")
    if offers == Offers():
        raise PluginError("offers no method, backbone or protocol, and observes nothing")
    return offers


def _require_contract(number: object) -> None:
    if number != CONTRACT:
        raise PluginError(other_contract(number if isinstance(number, int) else 0))


@contextlib.contextmanager
def _explained(what: str, point: EntryPoint) -> Iterator[None]:
    try:
        yield
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # third-party code may do anything
        text = one_line(error)
        reason = text if isinstance(error, ImportError) and text else f"{type(error).__name__}: {text}"
        where = error_location(error, point.module)
        raise PluginError(f"{what}: {reason}" + (f" ({where})" if where else "")) from error


@dataclass
class _Methods:
    """The ``register`` of methods."""

    offers: Offers

    def __call__(self, name: str, method: type[Method]) -> None:
        if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
            raise PluginError(f"offers a method named {name!r}; names are lower case with underscores")
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise PluginError(f"offers {name!r}, which is not a subclass of harness.method.Method")
        if inspect.isabstract(method):
            missing = ", ".join(sorted(method.__abstractmethods__))
            raise PluginError(f"offers {name!r}, which does not implement {missing}")
        if not dataclasses.is_dataclass(method):
            raise PluginError(f"offers {name!r}, which is not a dataclass")
        if name in self.offers.methods:
            raise PluginError(f"offers the method {name!r} twice")
        try:
            build(name, method)
        except HarnessError as error:
            raise PluginError(f"offers {name!r}, which cannot be used: {error.message}") from error
        self.offers.methods[name] = method


@dataclass
class _Backbones:
    """The ``register`` of backbones."""

    offers: Offers

    def __call__(
        self,
        name: str,
        config: Mapping[str, Any],
        weights: Callable[[], Path] | None = None,
        corpus: str = "unknown",
        preprocessing: Mapping[str, Any] | None = None,
    ) -> None:
        if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_-]*", name)):
            raise PluginError(f"offers a backbone named {name!r}; names are lower case with digits, '_' and '-'")
        parts = [part for part in ("embed_dim", "vision_cfg", "text_cfg") if part not in config]
        if parts:
            raise PluginError(f"offers the backbone {name!r}, whose config has no {parts[0]}")
        if weights is not None and not callable(weights):
            raise PluginError(f"offers the backbone {name!r}, whose weights are no function that gives a path")
        if name in self.offers.backbones:
            raise PluginError(f"offers the backbone {name!r} twice")
        own = _as_json(name, "config", config)
        stated = None if preprocessing is None else _as_json(name, "preprocessing", preprocessing)
        guarded = preserve_global_state()(weights) if weights is not None else None
        self.offers.backbones[name] = BackboneOffer(own, guarded, corpus, stated)


def _as_json(name: str, what: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of what a plugin states: it decides numbers, so it must have one written form and not change later."""
    try:
        return dict(json.loads(json.dumps(value, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise PluginError(f"offers the backbone {name!r}, whose {what} is not JSON: {one_line(error)}") from None


@dataclass
class _Protocols:
    """The ``register`` of protocols."""

    offers: Offers

    def __call__(self, protocol: protocols.Protocol) -> None:
        from harness.protocols import PROTOCOLS, Protocol  # here, because listing plugins does without
        from harness.types.cell import Decoding

        if not isinstance(protocol, Protocol):
            raise PluginError(f"offers {protocol!r}, which is no instance of harness.protocols.Protocol")
        name = getattr(protocol, "id", None)
        if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_.-]*", name)):
            raise PluginError(f"offers a protocol with id {name!r}; ids are lower case with digits, '_', '-' and '.'")
        if name in PROTOCOLS:
            raise PluginError(f"offers the protocol {name!r}, which comes with the harness")
        if name in self.offers.protocols:
            raise PluginError(f"offers the protocol {name!r} twice")
        if protocol.decoding not in get_args(Decoding):
            raise PluginError(f"offers the protocol {name!r} with decoding {protocol.decoding!r}, which is not known")
        self.offers.protocols[name] = protocol
