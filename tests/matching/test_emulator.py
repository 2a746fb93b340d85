"""The emulator reports each kind of fault in a kernel, and nothing in the corrected kernel."""

import re
import subprocess

import pytest

from .emulator.device import ENVIRONMENT

FAULTS = {
    "race_in_block": ("races", "data race"),
    "race_in_warp": ("races", "data race"),
    "race_of_blocks": ("races", "data race"),
    "race_in_grid": ("races", "data race"),
    "race_with_atomic": ("races", "data race"),
    "race_with_volatile": ("races", "data race"),
    "past_the_end": ("memory", "heap-buffer-overflow"),
    "past_dynamic_shared": ("memory", "use-after-poison"),
    "shift_too_far": ("memory", "shift exponent"),
    "early_end": ("plain", "a thread of its block has ended|ends while others of its block wait at __syncthreads"),
    "different_barriers": ("plain", "but others of its block wait at __syncthreads"),
    "different_lanes": ("plain", "but others of its warp wait at"),
    "endless_wait": ("plain", "waits at __sync(warp|threads) forever"),
    "lone_grid": ("plain", "grid.sync in a launch that is not cooperative"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_emulator_reports_fault(fault, program):
    build, sentence = FAULTS[fault]
    command = [*program(build, "faults"), fault]
    run = {"capture_output": True, "text": True, "check": False, "env": ENVIRONMENT}
    broken, sound = subprocess.run(command, **run), subprocess.run([*command, "sound"], **run)
    assert broken.returncode != 0
    assert fault in broken.stderr
    assert re.search(sentence, broken.stderr)
    assert (sound.returncode, sound.stderr) == (0, "")
