"""What worker processes are forked with; importing this module takes seconds, and is done once for all of them."""

import gc

from harness.execution.garbage import uncollected

with uncollected():
    import harness.runner.run_cell  # noqa: F401, torch and open_clip among others

    gc.freeze()  # a worker that looked for garbage among all this would write to memory that it shares with the others
