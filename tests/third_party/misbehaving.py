"""Methods that do what a method may not. Each is zero-shot until it misbehaves."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from harness.hookspecs import hookimpl
from harness.method import Method


@dataclass
class Tame(Method):
    """Zero-shot."""

    def fit(self, task):
        self.task_ = task
        self.misbehave()
        return self

    def misbehave(self):
        """Nothing wrong."""

    def scores(self, images, vocabulary):
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        return self.spoil(self.task_.logit_scale * images.features[:, 0] @ self.task_.text.encode(prompts).T)

    def spoil(self, scores):
        return scores


@dataclass
class Raises(Tame):
    def misbehave(self):
        print("about to raise")
        raise ValueError("the moon is\nin the wrong place")


@dataclass
class Hangs(Tame):
    def misbehave(self):
        helper = subprocess.Popen(["sleep", "3607"], start_new_session=True)
        print("going to sleep next to", helper.pid, flush=True)
        time.sleep(3600)


@dataclass
class Spins(Tame):
    def misbehave(self):
        while True:
            pass


@dataclass
class Exits(Tame):
    def misbehave(self):
        print("leaving")
        os._exit(3)


@dataclass
class SysExits(Tame):
    def misbehave(self):
        sys.exit("enough")


@dataclass
class Interrupts(Tame):
    def misbehave(self):
        raise KeyboardInterrupt("as if somebody had pressed Ctrl-C")


@dataclass
class IsKilled(Tame):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Crashes(Tame):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGSEGV)


@dataclass
class EatsMemory(Tame):
    def misbehave(self):
        eaten = []
        for _ in range(100):  # 6 GiB at most: a test ends this long before
            eaten.append(b"x" * 2**26)
            time.sleep(0.02)


@dataclass
class ReturnsNaN(Tame):
    def spoil(self, scores):
        return scores * float("nan")


@dataclass
class ReturnsWrongShape(Tame):
    def spoil(self, scores):
        return scores[:, 1:]


@dataclass
class LivesOnTheState(Tame):
    """Draws from every generator that is shared, and leaves all that is shared changed, its parameter too."""

    seen: list[int] = field(default_factory=list)

    def misbehave(self):
        self.seen.append(1)
        self.drawn_ = random.random() + np.random.rand() + float(torch.rand(())) + len(self.seen) + len(str(Path.cwd()))
        self.drawn_ += float(multiprocessing.get_start_method() == "fork")
        os.chdir(tempfile.gettempdir())
        np.seterr(all="raise")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    def spoil(self, scores):
        return torch.sin(1000 * self.drawn_ * scores)


@dataclass
class LeavesProcesses(Tame):
    """Starts a process in its group and one in a new group, and forgets both."""

    log: str = ""

    def misbehave(self):
        started = [subprocess.Popen(["sleep", "3600"], start_new_session=own) for own in (False, True)]
        with Path(self.log).open("a") as log:
            print(*(process.pid for process in started), file=log)


@dataclass
class Floods(Tame):
    def misbehave(self):
        while True:
            print("x" * 10_000)


@dataclass
class Chatters(Tame):
    """Prints, which is allowed, but must not get into results."""

    def misbehave(self):
        print("{chatter}")
        os.write(1, b"{chatter from below}\n")


@dataclass
class Mumbles(Tame):
    """Says what no terminal and no file should get."""

    def misbehave(self):
        raise ValueError("\x1b[31mred \udc80")


class NoWords(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@dataclass
class IsMute(Tame):
    def misbehave(self):
        raise NoWords


@dataclass
class Miscounts(Tame):
    def trainable(self):
        return "many"


MISBEHAVING = {
    "tame": Tame,
    "raises": Raises,
    "mumbles": Mumbles,
    "is_mute": IsMute,
    "miscounts": Miscounts,
    "hangs": Hangs,
    "spins": Spins,
    "exits": Exits,
    "sys_exits": SysExits,
    "interrupts": Interrupts,
    "is_killed": IsKilled,
    "crashes": Crashes,
    "eats_memory": EatsMemory,
    "returns_nan": ReturnsNaN,
    "returns_wrong_shape": ReturnsWrongShape,
    "lives_on_the_state": LivesOnTheState,
    "leaves_processes": LeavesProcesses,
    "floods": Floods,
    "chatters": Chatters,
}


class Offer:
    """Holds the hook of one of the methods: an entry point names one thing, and this module has many."""

    def __init__(self, method):
        self.method = method

    @hookimpl
    def harness_method(self):
        return self.method


offers = SimpleNamespace(**{name: Offer(method) for name, method in MISBEHAVING.items()})
