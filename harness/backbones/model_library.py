"""Calls into the libraries that build models: their output is dropped and their errors become sentences."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch

from harness.device import is_out_of_memory
from harness.errors import BackboneError, one_line


@contextlib.contextmanager
def as_backbone_error(name: str, what: str, hint: str) -> Iterator[None]:
    """Turn any exception into a BackboneError.

    Args:
        name: name of the model.
        what: what fails.
        hint: what to do about it, unless the memory is too small.

    Raises:
        BackboneError: an exception was raised.
    """
    try:
        with quiet():
            yield
    except Exception as error:  # open_clip, timm, torch and safetensors raise many types
        if is_out_of_memory(error):
            hint = "use a smaller backbone, or give the process more memory (ulimit -a shows its limits)"
            raise BackboneError(f"there is not enough memory for {name}", hint) from None
        raise BackboneError(f"{what}: {one_line(error)[:300] or type(error).__name__}", hint) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop output, logs and warnings, and preserve the state of torch's random numbers; errors still raise."""
    # open_clip logs to the root logger and warns about random initialisation.
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
