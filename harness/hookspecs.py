"""The hooks of the harness. A plugin is a module that implements one of them, and an entry point that names the module.

The entry point's name is the plugin's name: what ``--plugin``, ``--backbone``, ``--protocol``, ``--data``,
``--metric`` or ``--executor`` takes. Its group says which hook is called::

    harness             harness_method
    harness.backbones   harness_backbone
    harness.protocols   harness_protocol
    harness.datasets    harness_dataset
    harness.metrics     harness_metric
    harness.observers   harness_observer
    harness.executors   harness_executor

Every implementation is marked with ``@hookimpl``. A module offers one thing of each kind; of several in one module each
entry point names an object that holds the hook, as in ``zoo_large = "zoo:Large"``. A line ``harness_contract = 2`` says
which contract (``harness.method.CONTRACT``) the plugin was made for; one that was made for another is refused.

A plugin is imported when its name is asked for, and no other plugin is. Methods and observers run in processes of their
distribution. A run imports all metrics too, but none of a distribution whose methods it runs. An exception, a misspelt
or an unmarked hook makes this plugin unusable; the error names it and its distribution, and other plugins are not
affected. Settings that all code of a process shares (torch's, numpy's, Pillow's, the working folder) are restored after
the import. A note names the plugin if its import changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from harness.execution.executors import OpenExecutor
    from harness.method import Method
    from harness.metrics import Metric
    from harness.observer import Observer
    from harness.progress import Reporter
    from harness.protocols import Protocol

PROJECT = "harness"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class BackboneOffer:
    """A backbone that a plugin offers.

    Attributes:
        config: the model in open_clip's own format, with ``embed_dim``, ``vision_cfg`` and ``text_cfg``.
        weights: returns the weights file, and fetches it first if need be; called when the backbone is used without
            ``--pretrained``. None: the user has to name a file.
        corpus: what the weights were trained on; recorded in every row.
        preprocessing: how images are prepared, as in open_clip's ``preprocess_cfg``: any of ``mean``, ``std``,
            ``interpolation``, ``resize_mode`` and ``fill_color``; what it leaves out is open_clip's default. None: all
            is, and every row says that it is unchecked.
    """

    config: Mapping[str, Any]
    weights: Callable[[], Path] | None = None
    corpus: str = "unknown"
    preprocessing: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class DatasetOffer:
    """A data set that a plugin offers.

    Attributes:
        folder: name of its folder in the cache; other content needs another name.
        prepare: downloads or draws the data set into that folder, and returns at once if it is complete. It is given
            the folder, the progress reporter and the number of workers. The folder then holds ``{Domain}{N}_IP`` and
            ``{Domain}{N}_OOP`` folders; a ``dataset.json`` with the name lets ``--data FOLDER`` recognise it.
        backbone: the backbone to use where the user names none; None: the same as for LAION-Beyond.
    """

    folder: str
    prepare: Callable[[Path, Reporter, int], object]
    backbone: str | None = None


@hookspec(firstresult=True)
def harness_method() -> type[Method]:  # type: ignore[empty-body]
    """Return the method's class.

    Called once in a process. The return value is a dataclass that derives from ``harness.method.Method`` and can be
    made without arguments. An exception makes the plugin unusable.
    """


@hookspec(firstresult=True)
def harness_backbone() -> BackboneOffer:  # type: ignore[empty-body]
    """Return the backbone.

    Called once in a process; no weights are fetched then. The return value decides numbers: its ``config`` and
    ``preprocessing`` are plain JSON. An exception makes the plugin unusable; one in ``weights`` ends the command
    with a sentence that names the backbone.
    """


@hookspec(firstresult=True)
def harness_protocol() -> Protocol:  # type: ignore[empty-body]
    """Return the protocol.

    Called once in a process. The return value is an instance of ``harness.protocols.Protocol`` whose ``id`` is the
    entry point's name. An exception makes the plugin unusable. The sha256 of the plugin's code is part of every result
    of its protocol.
    """


@hookspec(firstresult=True)
def harness_dataset() -> DatasetOffer:  # type: ignore[empty-body]
    """Return the data set.

    Called once in a process; nothing is downloaded then. The return value is a ``DatasetOffer``. An exception makes the
    plugin unusable; one in ``prepare`` ends the command with a sentence that names the data set.
    """


@hookspec(firstresult=True)
def harness_metric() -> Metric:  # type: ignore[empty-body]
    """Return the metric.

    Called once in a process that computes or shows metrics of plugins. The return value is a
    ``harness.metrics.Metric`` whose name is the entry point's, and none of the harness's own. Every cell that has the
    predictions that it needs has the metric. Its functions depend on their arguments alone, because
    ``harness leaderboard verify`` computes every value again. The plugin's edition is part of every result of a run:
    after its installation, an edit or its removal all cells are computed again. An exception makes the plugin unusable,
    and a note says so; one in the metric's function leaves it out of that cell, with a note; one in its resampling ends
    the command with a sentence that names the metric.
    """


@hookspec(firstresult=True)
def harness_observer() -> Observer:  # type: ignore[empty-body]
    """Return the observer, which logs a run, sends it somewhere or draws it.

    Called once in a run whose ``--observer`` names it, in a process of the distribution's observers. The return value
    is an instance of ``harness.observer.Observer``. An exception ends the command with a sentence before anything is
    computed.
    """


@hookspec(firstresult=True)
def harness_executor() -> OpenExecutor:  # type: ignore[empty-body]
    """Return a function that opens an executor: where cells run, such as on the nodes of a cluster.

    Called once in a process; nothing is connected then. The return value is a function that takes
    ``harness.execution.executors``'s ``ExecutorSettings`` and returns a context manager of an ``Executor``, which
    yields the result of every job once, in any order. ``harness.execution.supervisor.supervise`` does so with a
    ``Pool`` of the plugin. An executor decides no number and is in no key. An exception makes the plugin unusable.
    """
