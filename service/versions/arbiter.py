"""gunicorn's parent process, with the keeper of versions inside its loop."""

import logging
from typing import Any

from gunicorn.arbiter import Arbiter

from service.versions.keeper import Keeper

log = logging.getLogger(__name__)

BUSY_S = 0.02  # between two steps while a version is tried or loaded
IDLE_S = 0.5


class KeepingArbiter(Arbiter):
    """gunicorn's arbiter; SIGHUP looks at the bundles again and leaves the workers alone."""

    def __init__(self, app: Any, keeper: Keeper):
        self._keeper = keeper
        self._rows: dict[int, int] = {}  # of the metrics, by the process that has it
        super().__init__(app)

    def spawn_worker(self) -> Any:
        """Fork a worker, with a line to it and a row to count in."""
        self._free_rows()
        rows = set(range(self.app.values.rows)) - set(self._rows.values())
        self.app.row = min(rows, default=None)
        self._keeper.open_link()
        pid = super().spawn_worker()
        if self.app.row is not None:
            self._rows[pid] = self.app.row
        self._keeper.close_link()
        return pid

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Wait less while there is something to do."""
        found: list[int] = super().wait_for_signals(BUSY_S if self._keeper.busy else IDLE_S)
        return found

    def manage_workers(self) -> None:
        """Called in each round of the loop."""
        self._free_rows()
        super().manage_workers()
        try:
            self._keeper.step()
        except Exception:  # a bug here must not end the service
            log.exception("versions could not be looked after")

    def _free_rows(self) -> None:
        """Let the next workers have the rows of those that ended."""
        for pid in set(self._rows) - set(self.WORKERS):
            self.app.values.leave(self._rows.pop(pid))

    def stop(self, graceful: bool = True) -> None:
        """End trials with the service."""
        self._keeper.end()
        super().stop(graceful)

    def reload(self) -> None:
        """SIGHUP: try again what was refused, and look for what is new."""
        self._keeper.look_again()
