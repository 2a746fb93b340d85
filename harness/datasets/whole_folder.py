"""Write a folder that appears only when it is complete, even after kill -9."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from harness.files import require_writable, write_error


def write_whole_folder(
    out: Path, finished: Callable[[], bool], write: Callable[[Path], None], what: str, hint: str
) -> None:
    """Fill a hidden folder next to ``out``, and rename it when it is complete; one process at a time.

    Args:
        out: the new folder; it must not exist, or be empty, unless it is finished.
        finished: whether another process has finished it.
        write: fills the folder that it is given.
        what: what the folder is called in the error message.
        hint: what to do if it cannot be written.

    Raises:
        StorageError: it cannot be written.
    """
    out = out.absolute()  # ``.`` has no name
    partial, lock = (out.parent / f".{out.name}.{kind}" for kind in ("partial", "lock"))
    require_writable(out.parent, what, hint)  # a lock waits for ever where no file can be created, as in /proc
    try:
        with FileLock(lock), _removed(lock):
            if finished():
                return
            shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
            try:
                partial.mkdir()
                write(partial)
            except BaseException:  # otherwise a hidden folder would fill the disk
                shutil.rmtree(partial, ignore_errors=True)
                raise
            if out.exists():
                out.rmdir()
            partial.rename(out)
    except NotImplementedError:  # older filelock on a file system without flock, such as Lustre
        raise write_error(what, out, OSError("the file system has no locks"), hint) from None
    except OSError as error:
        raise write_error(what, out, error, hint) from error


@contextmanager
def _removed(lock: Path) -> Iterator[None]:
    """Remove the file of a lock before it is released; who waits for it opens it again at each try."""
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
