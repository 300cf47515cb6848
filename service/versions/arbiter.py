"""gunicorn's parent process, with the keeper of versions inside its loop."""

import contextlib
import ctypes
import logging
import socket
import struct
import sys
import time
from typing import Any

from gunicorn.arbiter import Arbiter

from service.versions.keeper import Keeper

log = logging.getLogger(__name__)

BUSY_S = 0.02  # between two steps while a version is tried or loaded
IDLE_S = 0.5
PAUSE_S = 2.0  # to the next worker after one that ended younger than this, or could not be started
BOOT_FAILED = 1  # gunicorn's own code for it ends the service
SO_ATTACH_FILTER = 26  # of Linux, on all that Python runs on but SPARC and PA-RISC


def refuse_newcomers(listener: Any) -> None:
    """Have a listener take no further connection, in any process; those that wait stay.

    Without it one that arrives between a worker's last accept and its close is reset, after it
    was told that it is connected. Linux only: a filter that lets no packet through (BPF's
    `return 0`); connections that are there already do not pass it.
    """
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
    program = struct.pack("HP", 1, ctypes.addressof(code))  # struct sock_fprog
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


class KeepingArbiter(Arbiter):
    """gunicorn's arbiter; SIGHUP looks at the bundles again and leaves the workers alone."""

    def __init__(self, app: Any, keeper: Keeper):
        self._keeper = keeper
        self._rows: dict[int, int] = {}  # of the metrics, by the process that has it
        self._born: dict[int, float] = {}  # when, by the process
        self._not_before = 0.0  # the next worker is started
        super().__init__(app)

    def spawn_worker(self) -> Any:
        """Fork a worker, with a line to it and a row to count in.

        One that cannot begin ends the service only if no other serves.
        """
        self._free_rows()
        rows = set(range(self.app.values.rows)) - set(self._rows.values())
        self.app.row = min(rows, default=None)
        self._keeper.open_link()
        try:
            pid = super().spawn_worker()
        except OSError:  # in the parent
            self._keeper.close_link()
            raise
        except SystemExit as ended:  # in the worker
            if ended.code == self.WORKER_BOOT_ERROR and self.WORKERS:
                raise SystemExit(BOOT_FAILED) from ended
            raise
        self._born[pid] = time.monotonic()
        if self.app.row is not None:
            self._rows[pid] = self.app.row
        self._keeper.close_link()
        return pid

    def spawn_workers(self) -> None:
        """Start those that are missing; where the machine does not let us, later."""
        if time.monotonic() < self._not_before:
            return
        try:
            super().spawn_workers()
        except OSError as error:
            if not self.WORKERS:
                raise
            log.error("no other worker can be started: %s; tried again soon", error.strerror)
            self._not_before = time.monotonic() + PAUSE_S

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
        """Let the next workers have the rows of those that ended, if not at once."""
        for pid in set(self._rows) - set(self.WORKERS):
            self.app.values.leave(self._rows.pop(pid))
        for pid in set(self._born) - set(self.WORKERS):
            if (now := time.monotonic()) - self._born.pop(pid) < PAUSE_S:
                self._not_before = now + PAUSE_S

    def stop(self, graceful: bool = True) -> None:
        """End trials with the service; from here on nobody can connect."""
        self._keeper.end()
        if not self.systemd:  # it is ours alone
            for listener in self.LISTENERS:
                refuse_newcomers(listener)
        super().stop(graceful)

    def reload(self) -> None:
        """SIGHUP: try again what was refused, and look for what is new."""
        self._keeper.look_again()

    def reexec(self) -> None:
        """SIGUSR2, gunicorn's way to replace its program: said to be of no use here."""
        log.warning("SIGUSR2 does nothing here: a new container replaces the program")
