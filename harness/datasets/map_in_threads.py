"""Map a function over many items in a few threads, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_QUEUED_PER_WORKER = 16  # submitted calls per worker ahead of the consumer


def map_in_threads(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map(work, items)`` in threads; an error of ``work`` is raised at its position.

    Pending calls are cancelled when the caller stops or an error is raised: an interrupt does not wait for the queue.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _QUEUED_PER_WORKER * max(1, workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
