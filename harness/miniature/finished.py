"""Whether the miniature is drawn already; imports nothing that draws."""

from __future__ import annotations

from pathlib import Path

from harness.datasets.identity import IDENTITY
from harness.errors import StorageError
from harness.files import PERMISSIONS_HINT, read_error, read_file
from harness.miniature.world import WORLD
from harness.parsing import parse_json, parsing


def is_finished(out: Path) -> bool:
    """Whether a folder is a complete miniature of this world; False if it does not exist or is empty.

    Raises:
        StorageError: it is something else, another world, or cannot be read.
    """
    identity = out / IDENTITY
    try:
        there = {path.name for path in out.iterdir()}
        if not there:
            return False
        if IDENTITY not in there:
            raise NotADirectoryError
        content = read_file(identity)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        hint = "choose another folder; nothing was changed"
        raise StorageError(f"{out} exists and is not a miniature", hint) from None
    except OSError as error:
        raise read_error(out, error, f"{PERMISSIONS_HINT}, or choose another folder") from None
    with parsing(f"{identity} is damaged", "delete the folder and build it again"):
        world = parse_json(content, f"{identity} is damaged")["revision"]
    if world != WORLD:
        raise StorageError(
            f"{out} is another world ({world}, not {WORLD})", "choose another folder, or delete this one"
        )
    return True
