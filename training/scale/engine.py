"""What is done for each photo, and where: in threads of this machine, or on a cluster.

`Work` says what is done; it knows nothing of where. `in_order` does it: a number of threads is
one way, a cluster (cluster.py) the other. Results come in the order of the photos, and only a
bounded number is in flight, so memory does not grow with the number of photos.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = dict[str, Any]  # of plain values: bytes, int, float, bool, str or None
WINDOW = 32  # photos in flight for each thread, so that it works on while results are written


class Work(ABC, Generic[Item, Result]):
    """What is done for each photo. A cluster pickles it: it may hold no open file or session.

    Results travel and are kept as rows of a table; `row` and `result` must lose nothing.
    """

    result_bytes = 10_000  # about as many for one photo: they bound a shard
    kept_elsewhere = False  # whether the caller writes results to disk as they come

    @property
    @abstractmethod
    def identity(self) -> str:
        """Name all that results depend on, except the photo and the code."""

    @abstractmethod
    def __call__(self, item: Item) -> Result:
        """Do the work for one photo; one that cannot be used is a result, too."""

    @abstractmethod
    def key(self, item: Item) -> bytes:
        """Tell this state of a photo from all others: its place, size and time of change."""

    @abstractmethod
    def row(self, result: Result) -> Row:
        """Write a result as a row; every row has the same columns."""

    @abstractmethod
    def result(self, item: Item, row: Row, fresh: bool) -> Result:
        """Read a result from its row; `fresh`: it was computed by this run."""

    @abstractmethod
    def unread(self, result: Result) -> bool:
        """Return whether the system could not read the photo: another machine perhaps can."""

    def portable(self) -> "Work[Item, Result]":
        """Return the work as it is sent to another machine."""
        return self


class Engine(Protocol):
    """A place other than the threads of this process."""

    def map(self, work: Work[Item, Result], items: Mapping[int, Item]) -> Iterator[Result]:
        """Yield the results in the order of `items`; see `in_order`."""


Workers = int | Engine  # a number of threads, or another place


def in_order(
    work: Work[Item, Result], items: Mapping[int, Item], workers: Workers
) -> Iterator[Result]:
    """Yield the results of `work` in the order of `items`, with a bounded number in flight.

    Args:
        items: photos by their number in the whole list, ascending; those that need no work are
            missing, which moves no other into another shard.

    Raises:
        ClusterError: a cluster cannot do it.
    """
    if isinstance(workers, int):
        return _in_threads(work, items, workers)
    return workers.map(work, items)


def _in_threads(
    work: Work[Item, Result], items: Mapping[int, Item], workers: int
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="features")
    flying: deque[Future[Result]] = deque()
    try:
        for item in items.values():
            flying.append(pool.submit(work, item))
            if len(flying) >= workers * WINDOW:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
