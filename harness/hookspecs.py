"""The hooks of the harness. A plugin is a module that implements some of them; ``harness.registry`` loads it.

Every hook starts with ``harness_`` and is marked with ``@hookimpl``; a misspelt or unmarked one is reported, with the
plugin that holds it. A plugin says which contract it was made for with a line ``harness_contract = 1`` in its module;
without the line it is 1. The number is ``harness.method.CONTRACT``: a plugin made for another one is not imported.

The functions that register are called when the plugin is loaded, which a command does at most a few times: they
register and do nothing else. An exception makes the whole plugin unusable and is shown by ``harness plugins``; other
plugins are not affected. Settings that all code of a process shares (torch's, numpy's, Pillow's, the working folder)
are put back after the import and after every hook, and a note names the plugin that changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from harness import protocols
    from harness.method import Method
    from harness.types.cell import Cell

PROJECT = "harness"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Offers one method under a name."""

    def __call__(self, name: str, method: type[Method]) -> None:
        """Register ``method``; names are lower case with underscores and stand in commands and leaderboards."""


class RegisterBackbone(Protocol):
    """Offers one backbone under a name."""

    def __call__(
        self,
        name: str,
        config: Mapping[str, Any],
        weights: Callable[[], Path] | None = None,
        corpus: str = "unknown",
        preprocessing: Mapping[str, Any] | None = None,
    ) -> None:
        """Register a backbone.

        Args:
            name: what ``--backbone`` takes: lower case letters, digits, ``_`` and ``-``, and no name of open_clip's.
            config: the model in open_clip's own format, with ``embed_dim``, ``vision_cfg`` and ``text_cfg``.
            weights: gives the weights file, fetching it if need be; called when the backbone is used without
                ``--pretrained``. None: the user has to name a file.
            corpus: what the weights were trained on; stands in every row.
            preprocessing: how images are prepared, as in open_clip's ``preprocess_cfg``: any of ``mean``, ``std``,
                ``interpolation``, ``resize_mode`` and ``fill_color``; what it leaves out is open_clip's default. None:
                all is, and every row says that it is unchecked.
        """


class RegisterProtocol(Protocol):
    """Offers one protocol under its own id."""

    def __call__(self, protocol: protocols.Protocol) -> None:
        """Register ``protocol``; its ``id`` is what ``--protocol`` takes and no id of another protocol."""


@hookspec
def harness_register_methods(register: Register) -> None:
    """Offer methods: call ``register(name, class)`` once for each.

    Called once whenever the plugin is loaded. The return value is ignored. An exception, a name that is taken, or a
    class that is no ``Method`` or cannot be made without arguments makes this plugin unusable and is shown by
    ``harness plugins``.
    """


@hookspec
def harness_register_backbones(register: RegisterBackbone) -> None:
    """Offer backbones: call ``register(name, config, weights, corpus, preprocessing)`` once for each.

    Called once when the plugin is loaded, which ``harness evaluate`` does when ``--backbone`` is given. The return
    value is ignored. An exception or a name that is taken makes this plugin unusable; an exception in ``weights`` ends
    the command with a sentence that names the plugin.
    """


@hookspec
def harness_register_protocols(register: RegisterProtocol) -> None:
    """Offer protocols: call ``register(protocol)`` once for each instance of ``harness.protocols.Protocol``.

    Called once when the plugin is loaded, which ``harness evaluate`` does when ``--protocol`` names none of the
    harness's own. The return value is ignored. An exception or an id that is taken makes this plugin unusable. The
    sha256 of the plugin's code is part of every result of its protocols.
    """


@hookspec
def harness_cell_finished(cell: Cell) -> None:
    """Observe a cell that was computed: log it, send it somewhere, draw it.

    Called in the process of the command, in the order in which cells are finished, once for every cell that this run
    computed, failed ones included (``cell.failure``), after it was stored; never for cells that were known. Cells are
    immutable. The return value is ignored. An exception is shown, and this observer is not called again in the run;
    the run and other observers go on.
    """
