"""LAION-Beyond harness: evaluate vision-language methods on concepts absent from pre-training."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.method import File as File

try:
    __version__ = version("laion-beyond-harness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_LAZY = {"File": "harness.method"}
"""Name -> the module that has it, which is imported when the name is first used."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
