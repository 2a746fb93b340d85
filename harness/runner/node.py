"""What a node of a cluster needs to compute cells of a run, and the check that it has it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness import registry
from harness.backbones.backbone import ResolvedBackbone
from harness.datasets.folder_reader import read_splits
from harness.errors import DataError, PluginError, StorageError, UserError
from harness.execution.jobs import Limits
from harness.folders import DATA_VARIABLE, cache_root, default_data, private_folders
from harness.registry.local import NOT_INSTALLED
from harness.runner.code_versions import harness_versions
from harness.runner.method_processes import start_server
from harness.runner.plan import Plan
from harness.types.cell import MethodRecord

SAME_HINT = "install the same environment on every node"


@dataclass(frozen=True)
class NodeNeeds:
    """What every node needs.

    Attributes:
        versions: of Python, the harness and its libraries.
        methods: what runs.
        backbones: whose weights are loaded.
        folders: of the data on the machine that began the run -> fingerprints of their parts; none if no image is read.
    """

    versions: Mapping[str, str]
    methods: tuple[MethodRecord, ...]
    backbones: tuple[ResolvedBackbone, ...]
    folders: Mapping[Path, str]

    @classmethod
    def of(cls, plan: Plan, encodes: bool) -> NodeNeeds:
        """Those of a run; the data only if nodes encode images."""
        methods = {job.spec.method.name: job.spec.method for job in plan.jobs}
        backbones = (plan.resolved, *plan.encoders.values())
        folders = data_folders(plan) if encodes else ()
        return cls(
            _versions(), tuple(methods.values()), backbones, {folder: _fingerprint(folder) for folder in folders}
        )


def prepare_node(needs: NodeNeeds | None, limits: Limits) -> Limits:
    """Check that this node can compute cells, and start what its processes are forked from.

    Args:
        needs: of the run; None where it is known to have them, as the machine that began the run.
        limits: of its processes.

    Returns:
        The limits, which hide the node's own cache, keys and data as well.

    Raises:
        HarnessError: it lacks something.
    """
    if needs is None:
        return limits
    _require_versions(needs.versions)
    for method in needs.methods:
        _require_method(method)
    for backbone in needs.backbones:
        _require_weights(backbone)
    for folder, fingerprint in needs.folders.items():
        here = on_this_machine(folder, folder.parent)
        if not here.is_dir():
            hint = f"put the data there, or set {DATA_VARIABLE} on that node to the folder that has them"
            raise DataError(f"it has no folder {here}", hint)
        if _fingerprint(here) != fingerprint:
            raise DataError(f"it has other data in {here}", f"copy the data again, or correct {DATA_VARIABLE} there")
    start_server()
    if limits.sandbox is None:
        return limits
    own = {*private_folders(cache_root()), *filter(None, [default_data()])}
    hidden = {*limits.sandbox.hidden, *(path.resolve() for path in own if path.exists())}
    return replace(limits, sandbox=replace(limits.sandbox, hidden=tuple(sorted(hidden))))


def data_folders(plan: Plan) -> tuple[Path, ...]:
    """The folders of the domains of a run."""
    sides = [side for data in plan.domains.values() for side in (data.oop, data.ip) if side is not None]
    return tuple(dict.fromkeys(side["test"].folder for side in sides))


def on_this_machine(path: Path, root: Path) -> Path:
    """Where a path below the data folder is on this machine: where it is on others, or else below HARNESS_DATA."""
    own = default_data()
    return path if own is None or root.is_dir() else own / path.relative_to(root)


def _fingerprint(folder: Path) -> str:
    """Of names, labels and paths; every image is compared by its sha256 when it is read."""
    return " ".join(split.fingerprint for split in read_splits(folder).values())


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version(), **harness_versions()}


def _require_versions(wanted: Mapping[str, str]) -> None:
    differing = [(name, here, wanted[name]) for name, here in _versions().items() if here != wanted.get(name)]
    if differing:
        name, here, there = differing[0]
        raise UserError(f"it has {name} {here}, and the run has {there}", SAME_HINT)


def _require_method(method: MethodRecord) -> None:
    if method.distribution == NOT_INSTALLED:  # a class of a script, which is sent
        return
    try:
        code = registry.find("method", method.name).origin.code
    except PluginError as error:
        raise PluginError(f"it has {error.message}", SAME_HINT) from None
    if code != method.code:
        raise PluginError(f"it has other code of {method.name} ({method.distribution})", SAME_HINT)


def _require_weights(backbone: ResolvedBackbone) -> None:
    try:
        if not backbone.has_same_weights():
            raise StorageError(f"it has another file {backbone.weights}", "copy the weights to that node again")
    except (OSError, DataError):
        hint = "put the weights there too, for example in a home folder that all nodes share"
        raise StorageError(f"it has no file {backbone.weights}", hint) from None
