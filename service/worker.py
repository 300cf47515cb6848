"""A gunicorn worker that does not wait for ever, neither for a request nor for its reader.

gthread reads and writes in a blocking way: whoever sends half a request, or does not read
the answer, keeps a thread for good, and a few such clients keep them all. Here a connection
is shut down when its request has not arrived whole in time, or its answer has not left; the
thread then finds its end and is free.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn, ThreadWorker

from service.uploads import RECEIVED

DRAIN_S = 0.5  # for a body that the application refused to read
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.1  # s that a silent new connection may keep a thread


class DeadlineWorker(ThreadWorker):
    """gthread with a limit on the time that a request takes to arrive, and on the rest."""

    read_s = 20.0  # from the first byte to the last of a request
    answer_s = 30.0  # to compute the answer and to send it
    wsgi: Any

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._deadlines: dict[TConn, float] = {}  # connections with a thread, and till when
        self._own = threading.local()

    def load_wsgi(self) -> None:
        """Let the application say when it has read the body."""
        super().load_wsgi()
        application = self.wsgi

        def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
            connection = self._own.connection
            environ[RECEIVED] = lambda: self._set_deadline(connection, self.answer_s)
            if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
                environ[RECEIVED]()  # there is nothing more to come
            return application(environ, start_response)

        self.wsgi = wsgi

    def handle(self, conn: TConn) -> Any:
        """Answer a request; the clock runs from here."""
        self._own.connection = conn
        self._set_deadline(conn, self.read_s)
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def _set_deadline(self, conn: TConn, seconds: float) -> None:
        self._deadlines[conn] = time.monotonic() + seconds

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Whether the connection can be used again; a body nobody read is not waited for."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_S))

    def murder_pending(self) -> None:
        """Called every second on the main thread: shut down what has waited too long."""
        super().murder_pending()
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                self._deadlines.pop(connection, None)
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
