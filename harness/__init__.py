"""LAION-Beyond harness: evaluate vision-language methods on concepts absent from pre-training.

    import harness
    results = harness.evaluate("fsnl", domains="Food", shots=4)
    results.to_pandas()

The names below are imported when they are first used, so that ``import harness`` is quick and imports no torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api.evaluate import evaluate
    from harness.api.features import features
    from harness.api.results import load_leaderboard
    from harness.errors import HarnessError
    from harness.hookspecs import hookimpl
    from harness.matching import match
    from harness.method import File, Method
    from harness.types.feature_set import FeatureSet
    from harness.types.images import Images
    from harness.types.paper import Paper
    from harness.types.task import Needs, Task
    from harness.types.vocabulary import Vocabulary

try:
    __version__ = version("laion-beyond-harness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_MODULES = {
    "FeatureSet": "harness.types.feature_set",
    "File": "harness.method",
    "HarnessError": "harness.errors",
    "Images": "harness.types.images",
    "Method": "harness.method",
    "Needs": "harness.types.task",
    "Paper": "harness.types.paper",
    "Task": "harness.types.task",
    "Vocabulary": "harness.types.vocabulary",
    "evaluate": "harness.api.evaluate",
    "features": "harness.api.features",
    "hookimpl": "harness.hookspecs",
    "load_leaderboard": "harness.api.results",
    "match": "harness.matching",
}
"""Public name -> the module that defines it."""

__all__ = [
    "FeatureSet",
    "File",
    "HarnessError",
    "Images",
    "Method",
    "Needs",
    "Paper",
    "Task",
    "Vocabulary",
    "evaluate",
    "features",
    "hookimpl",
    "load_leaderboard",
    "match",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__all__", "__doc__", "__version__"])
