"""A zoo of hostile methods: each is zero-shot but for one deed, which it is named after.

``ZOO`` says how each must end: with a reason, or, without one, with the score of zero-shot.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import io
import json
import locale
import logging
import os
import random
import re
import signal
import socket
import stat
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import FixedVocabulary, MethodError, NotApplicable
from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.discovery import Discovery
from harness.types.task import Needs


@dataclass
class Animal:
    """A hostile method and how it must end.

    Attributes:
        method: the class.
        reason: how the reason of its failure goes on after its name; empty if it gets its honest score.
        note: how a note about it goes on after its name.
        wild: it harms its process, so that it needs one of its own.
        endless: only a limit ends it.
        scaled: its scores are those of zero-shot times a number, which changes their confidence and nothing else.
    """

    method: type[Method]
    reason: str = ""
    note: str = ""
    wild: bool = False
    endless: bool = False
    scaled: bool = False


ZOO: dict[str, Animal] = {}


@dataclass
class Tame(Method):
    """Zero-shot."""

    def fit(self, task):
        self.task_ = task
        return self

    def scores(self, images, vocabulary):
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        return self.task_.logit_scale * images.features[:, 0] @ self.task_.text.encode(prompts).T


def where(place: str) -> Callable[..., Any]:
    """A decorator for what a method does at the end of one of its functions; it gets what that would return."""

    def decorator(
        reason: str = "",
        note: str = "",
        wild: bool = False,
        endless: bool = False,
        scaled: bool = False,
        needs: Needs = Tame.needs,
    ) -> Callable[..., Any]:
        def add(deed: Callable[[Any], Any]) -> Callable[[Any], Any]:
            honest = getattr(Tame, place)

            def hostile(self: Tame, *given: Any) -> Any:
                return deed(honest(self, *given))

            members = {place: hostile, "needs": needs, "__module__": __name__}
            made = make_dataclass(deed.__name__, (), bases=(Tame,), namespace=members)
            ZOO[deed.__name__] = Animal(made, reason, note, wild or endless, endless, scaled)
            return deed

        return add

    return decorator


fitting, scoring, reporting, counting, discovering = map(where, ("fit", "scores", "outcome", "trainable", "discovery"))


def species(reason: str = "") -> Callable[[type[Tame]], type[Tame]]:
    """A decorator for a class that is hostile as a whole."""

    def add(cls: type[Tame]) -> type[Tame]:
        name = re.sub("(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        ZOO[name] = Animal(dataclass(cls), reason)
        return cls

    return add


# -- what it returns as scores -----------------------------------------------------------------------------------------


@scoring(".scores returned torch.bool; scores must be a floating-point tensor")
def returns_truth_values(scores):
    return scores > 0


@scoring(".scores returned torch.int64; scores must be")
def returns_whole_numbers(scores):
    return scores.argsort(dim=1)


@scoring(".scores returned torch.complex64; scores must be")
def returns_complex_numbers(scores):
    return torch.complex(scores, scores)


@scoring(".scores returned ndarray; scores must be")
def returns_an_array(scores):
    return scores.numpy()


@scoring(".scores returned NoneType; scores must be")
def returns_nothing(scores):
    return None


@scoring(".scores returned NaN or infinity")
def returns_infinity(scores):
    return scores / 0


@scoring(scaled=True)
def returns_huge_scores(scores):
    return scores.double() * 1e300


@scoring(".scores returned scores on meta; they belong on cpu")
def returns_no_memory(scores):
    return scores.to("meta")


@scoring(" raised ")
def returns_sparse_scores(scores):
    return scores.to_sparse()


@scoring(" raised ")
def returns_eighth_precision(scores):
    return scores.to(torch.float8_e5m2)


@scoring()
def returns_a_view_backwards(scores):
    return scores.flip(1).contiguous().flip(1).T.contiguous().T.requires_grad_()


@scoring(".scores returned (3, 27, 9); scores must be")
def returns_too_many_dimensions(scores):
    return scores.expand(3, *scores.shape)


class Liar(Tensor):
    """Says of itself what is expected, whatever it holds."""

    @classmethod
    def __torch_function__(cls, function, types, given=(), options=None):
        name = getattr(function, "__name__", "")
        if name == "isfinite":
            return torch.ones(1, dtype=torch.bool)
        if name == "max":
            rows = Tensor.size(given[0].as_subclass(Tensor), 0)
            return torch.zeros(rows), torch.full((rows,), 10**12)
        return super().__torch_function__(function, types, given, options or {})


@scoring(" raised RuntimeError: index 1000000000000 is out of bounds")
def returns_a_tensor_that_lies(scores):
    return (scores * float("nan")).as_subclass(Liar)


@scoring(" raised FloatingPointError: never")
def returns_a_tensor_that_raises(scores):
    class Raises(Tensor):
        @classmethod
        def __torch_function__(cls, function, types, given=(), options=None):
            raise FloatingPointError("never")

    return scores.as_subclass(Raises)


@scoring("xxxx")
def knows_no_names(scores):
    raise FixedVocabulary("x" * 10**7)


# -- what it raises ----------------------------------------------------------------------------------------------------


@fitting(" raised BaseException: nothing catches this")
def raises_the_base(fitted):
    raise BaseException("nothing catches this")


@fitting(" raised GeneratorExit")
def raises_generator_exit(fitted):
    raise GeneratorExit


@fitting(" raised RecursionError: maximum recursion depth exceeded")
def recurses(fitted):
    return recurses(fitted)


@fitting(" raised ValueError: xxxx")
def raises_ten_megabytes(fitted):
    raise ValueError("x" * 10**7)


@fitting("xxxx")
def raises_ten_megabytes_of_ours(fitted):
    raise MethodError("x" * 10**7, "y" * 10**7)


@fitting(" raised xxxx")
def raises_a_long_name(fitted):
    raise type("x" * 10**7, (Exception,), {})


class Unspeakable(Exception):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__

    def __reduce__(self):
        raise SystemExit


@fitting(" raised KeyboardInterrupt")
def raises_what_cannot_be_said(fitted):
    raise Unspeakable


@fitting("<object object at")
def raises_no_message(fitted):
    raise NotApplicable(object())


@fitting(" raised ValueError: last")
def raises_a_long_chain(fitted):
    error = None
    for _ in range(10**5):
        error, cause = ValueError("last"), error
        error.__cause__ = cause
    raise error


# -- how it ends its process -------------------------------------------------------------------------------------------


@fitting(" ended its process with exit code 0", wild=True)
def leaves_in_peace(fitted):
    os._exit(0)


@fitting(" was killed by SIGABRT", wild=True)
def aborts(fitted):
    os.abort()


@fitting(" was killed by SIGSEGV", wild=True)
def reads_address_zero(fitted):
    ctypes.string_at(0)


@fitting(endless=True, reason=" took longer than")
def stops_itself(fitted):
    os.kill(os.getpid(), signal.SIGSTOP)


@fitting(endless=True, reason=" took longer than")
def sleeps_with_all_signals_blocked(fitted):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    time.sleep(3600)


@fitting(" had more than 256 processes", endless=True)
def starts_three_hundred_processes(fitted):
    for _ in range(300):
        os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    time.sleep(3600)


# -- the channel to the parent -----------------------------------------------------------------------------------------


def channel() -> int:
    """The open file through which answers go."""
    (found,) = (n for n in range(3, 100) if is_socket(n))
    return found


def is_socket(number: int) -> bool:
    try:
        return (
            stat.S_ISSOCK(os.fstat(number).st_mode) and socket.socket(fileno=os.dup(number)).type == socket.SOCK_STREAM
        )
    except OSError:
        return False


def say(kind: bytes, content: bytes) -> None:
    os.write(channel(), struct.pack("<cQ", kind, len(content)) + content)


@fitting(" ended its process with exit code 1", wild=True)
def closes_all_files(fitted):
    os.closerange(0, 1000)
    return fitted


@fitting(" sent more than 0.25 GiB", wild=True)
def announces_an_exabyte(fitted):
    os.write(channel(), struct.pack("<cQ", b"D", 2**60))
    return fitted


@fitting(endless=True, reason=" took longer than")
def sends_half_a_message(fitted):
    os.write(channel(), struct.pack("<cQ", b"D", 2**27))
    return fitted


@fitting(" sent something that is not a result", wild=True)
def says_it_is_ready_again(fitted):
    say(b"R", b"")
    return fitted


@fitting(" sent something that is not a result", wild=True)
def sends_a_job(fitted):
    say(b"J", b"")
    return fitted


@fitting(" sent something that is not an answer", wild=True)
def answers_nonsense(fitted):
    say(b"D", b"\xff" * 100)
    return fitted


@fitting(" sent something that is not an answer", wild=True)
def answers_an_endless_cost(fitted):
    say(b"D", b'{"fits":[{"fit_seconds":1e999,"trainable":-1}]}\n')
    return fitted


@fitting(" sent something that is not an answer", wild=True)
def answers_a_million_fits(fitted):
    say(b"D", b'{"fits":[' + b",".join([b"{}"] * 10**6) + b"]}\n\x02\0\0\0\0\0\0\0{}")
    return fitted


@fitting(" xxxx", wild=True)
def answers_a_long_failure(fitted):
    say(b"F", b"x" * 10**7 + b"\n" + b"y" * 10**7)
    return fitted


# -- what it reports ---------------------------------------------------------------------------------------------------


@reporting(note=".outcome cannot be stored as JSON: Circular reference detected")
def reports_itself(outcome):
    outcome["itself"] = outcome
    return outcome


@reporting(note=".outcome is longer than")
def reports_ten_megabytes(outcome):
    return {"x": "x" * 10**7}


@reporting(note=".outcome cannot be stored as JSON: ")
def reports_deep_lists(outcome):
    deep = []
    for _ in range(10**5):
        deep = [deep]
    return {"deep": deep}


@reporting()
def reports_lists_that_json_can_read(outcome):
    deep = []
    for _ in range(150):
        deep = [deep]
    return {"deep": deep}


@reporting(note=".outcome cannot be stored as JSON: keys must be")
def reports_keys_of_bytes(outcome):
    return {b"x": 1}


@reporting()
def reports_keys_that_clash(outcome):
    return {1: 1, "1": 2, None: 3, "\x1b[31m\0": 4, float("nan"): float("inf")}


@reporting(note=".outcome cannot be stored as JSON: number out of range")
def reports_a_long_number(outcome):
    sys.set_int_max_str_digits(0)
    return {"n": 10**20_000}


@reporting(note=".outcome returned list; it must be a dictionary")
def reports_a_list(outcome):
    return [outcome]


@reporting(note=".outcome cannot be stored as JSON: ")
def reports_half_a_character(outcome):
    return {"\ud800": 1}


@reporting(" raised KeyboardInterrupt")
def interrupts_its_report(outcome):
    raise KeyboardInterrupt


@counting(note=".trainable returned -1")
def counts_backwards(count):
    return -1


@counting(note=".trainable returned 1.5")
def counts_halves(count):
    return 1.5


@counting(note=".trainable returned 1000")
def counts_without_end(count):
    return 10**4000


class Verbose:
    def __repr__(self):
        return "\x1b[31m" + "x" * 3 * 10**6


@counting(note=".trainable returned ")
def counts_with_many_words(count):
    return Verbose()


POOL = Needs(unlabeled=True, vocabulary=True)


def found(cluster, name=(0, 1)):
    return Discovery(torch.as_tensor(cluster), torch.as_tensor(name))


@discovering(".discovery: ", needs=POOL)
def discovers_too_few(nothing):
    return found([0, 1])


@discovering(".discovery: ", needs=POOL)
def discovers_below_zero(nothing):
    return found([-7] * 24)


@discovering(".discovery: ", needs=POOL)
def discovers_beyond_all_names(nothing):
    return found([2**62] * 24)


@discovering(".discovery returned a cluster of torch.float32", needs=POOL)
def discovers_fractions(nothing):
    return found([0.5] * 24)


@discovering(".discovery returned a cluster of str", needs=POOL)
def discovers_no_numbers(nothing):
    return Discovery("all", None)


@discovering(" reports clusters of a pool that it did not declare as a need")
def discovers_without_images(nothing):
    return found([0, 1])


# -- what all share ----------------------------------------------------------------------------------------------------


@fitting(wild=True)
def changes_the_folder_and_the_mask(fitted):
    os.chdir("/")
    os.umask(0o777)
    return fitted


@fitting(wild=True)
def changes_numbers(fitted):
    locale.setlocale(locale.LC_ALL, "C")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    torch.use_deterministic_algorithms(False)
    np.seterr(all="raise")
    random.seed(0)
    return fitted


@fitting(wild=True)
def empties_the_environment(fitted):
    os.environ.clear()
    sys.path.clear()
    sys.argv.clear()
    return fitted


@fitting(" raised TypeError", wild=True)
def replaces_open(fitted):
    builtins.open = io.open = os.open = None
    return fitted


@fitting(wild=True)
def forgets_modules(fitted):
    for name in [name for name in sys.modules if name.startswith("harness")]:
        sys.modules[name] = None
    return fitted


@fitting(wild=True)
def makes_every_warning_an_error(fitted):
    warnings.simplefilter("error")
    logging.disable(logging.CRITICAL)
    logging.raiseExceptions = True
    return fitted


@fitting(wild=True)
def ignores_every_signal(fitted):
    for number in range(1, 32):
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    return fitted


@fitting(wild=True)
def hangs_when_python_ends(fitted):
    atexit.register(time.sleep, 3600)
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return fitted


@fitting(wild=True)
def switches_the_garbage_collector_off(fitted):
    gc.disable()
    gc.freeze()
    gc.set_threshold(0)
    return fitted


@fitting(wild=True)
def takes_stdout_away(fitted):
    sys.stdout = sys.stderr = sys.__stdout__ = None
    return fitted


@fitting(wild=True)
def traces_every_call(fitted):
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    sys.excepthook = None
    return fitted


@fitting(" raised TypeError", wild=True)
def breaks_torch(fitted):
    torch.nn.functional.normalize = torch.isfinite = None
    return fitted


@fitting(" sent something that is not an answer", wild=True)
def stops_the_clock(fitted):
    time.perf_counter = lambda: float("nan")
    return fitted


@fitting(wild=True)
def breaks_json(fitted):
    json.dumps = json.loads = None
    return fitted


@fitting(wild=True)
def forks_and_stays(fitted):
    if not os.fork():
        time.sleep(3600)
    return fitted


@fitting(wild=True)
def forks_and_answers_twice(fitted):
    os.fork()
    return fitted


# -- classes that are hostile as a whole -------------------------------------------------------------------------------


@species(".fit returned Tame; fit must return self")
class FitsAnother(Tame):
    def fit(self, task):
        return Tame()


@species(" raised RuntimeError: unique")
class CannotBeCopied(Tame):
    def __deepcopy__(self, memory):
        raise RuntimeError("unique")


@species()
class CopiesToItself(Tame):
    def __deepcopy__(self, memory):
        return self


@species(" raised AttributeError")
class CopiesToANumber(Tame):
    def __deepcopy__(self, memory):
        return 7


@species()
class HasAnyAttribute(Tame):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_: self


@species(" raised AttributeError")
class HasSlots(Tame):
    __slots__ = ()

    def __setattr__(self, name, value):
        raise AttributeError(name)


@species(" raised AttributeError: 'int' object has no attribute 'partition'")
class HasNoModule(Tame):
    __module__ = 7

    def fit(self, task):
        raise ValueError


class Offer:
    """Holds the hook of one of the methods."""

    def __init__(self, method):
        self.method = method

    @hookimpl
    def harness_method(self):
        return self.method


offers = SimpleNamespace(tame=Offer(Tame), **{name: Offer(animal.method) for name, animal in ZOO.items()})
