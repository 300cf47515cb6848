"""A thread that rests between two pieces of work, so that others get on."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

REST = 2.0  # times as long as it has worked
LEAST_S, MOST_S = 0.005, 0.2  # Python runs one thread at a time, of whatever niceness


class Rest:
    """Entered for each piece of work; each thread has a time until which it rests."""

    def __init__(self, gives_way: Callable[[], bool] = lambda: False, most_s: float = MOST_S):
        """Begin rested.

        Args:
            gives_way: whether there are others, for whom to rest.
            most_s: seconds of one rest.
        """
        self._gives_way, self._most_s = gives_way, most_s
        self._thread = threading.local()  # `until` when it rests, and when its work `began`

    def __enter__(self) -> None:
        """Rest, if there is something left of it and somebody to rest for."""
        if self._gives_way():
            time.sleep(max(0, getattr(self._thread, "until", 0) - time.monotonic()))
        self._thread.began = time.thread_time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Note how long to rest before the next piece."""
        spent = time.thread_time() - self._thread.began
        rest_s = min(self._most_s, max(LEAST_S, REST * spent))
        self._thread.until = time.monotonic() + rest_s
