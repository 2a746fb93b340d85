"""LAION-Beyond harness: evaluate vision-language methods on concepts absent from pre-training."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("laion-beyond-harness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
