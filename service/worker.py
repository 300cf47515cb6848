"""A gunicorn worker that does not wait for ever for a request to arrive.

gthread reads a request in a blocking way: whoever sends half of one and no more keeps a
thread for good, and a few dozen such clients keep them all. Here a connection is shut down
when its request has not arrived whole in time; the thread then finds its end and is free.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from service.uploads import RECEIVED


class DeadlineWorker(ThreadWorker):
    """gthread with a limit on the time from a request's first byte to its last."""

    read_s = 20.0
    wsgi: Any

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._reading: dict[TConn, float] = {}  # connections that are being read, till when
        self._own = threading.local()

    def load_wsgi(self) -> None:
        """Let the application say when it has read the body."""
        super().load_wsgi()
        application = self.wsgi

        def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
            connection = self._own.connection
            environ[RECEIVED] = lambda: self._reading.pop(connection, None)
            if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
                environ[RECEIVED]()  # there is nothing more to come
            return application(environ, start_response)

        self.wsgi = wsgi

    def handle(self, conn: TConn) -> Any:
        """Answer a request; the clock runs from here."""
        self._own.connection = conn
        self._reading[conn] = time.monotonic() + self.read_s
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def murder_pending(self) -> None:
        """Called every second on the main thread: shut down what has waited too long."""
        super().murder_pending()
        now = time.monotonic()
        for connection, deadline in list(self._reading.items()):
            if now > deadline:
                self._reading.pop(connection, None)
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
