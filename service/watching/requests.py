"""The front's door: a request begins, is answered, has left."""

import time
from typing import Any
from urllib.parse import quote

from werkzeug.routing import Map

from service.errors import REQUEST_ID
from service.watching.access import AccessLog
from service.watching.metrics import BROKEN, Metrics
from service.watching.record import record_in
from service.watching.routes import template

QUIET = ("/v2/health/", "/metrics")  # asked every few seconds: a line only where they fail
PATH_BYTES = 200  # of a path in the log


class Watch:
    """The requests of one worker, from their heads to the last byte of their answers."""

    def __init__(self, metrics: Metrics, routes: Map, access_log: bool):
        self.metrics, self._routes = metrics, routes
        metrics.count("layerscope_worker_starts_total")
        metrics.count("layerscope_lines_dropped_total", amount=0)
        self._log = AccessLog(self._drop) if access_log else None

    def answered(self, environ: dict[str, Any], status: int, began: float) -> None:
        """Count a request whose answer is about to be sent.

        Args:
            began: when its head had come, by `time.perf_counter`.
        """
        known = record_in(environ)
        if known.route is None:
            known.route = template(self._routes, environ)
        seconds = time.perf_counter() - began
        self.metrics.answered(known.route, status, seconds)

    def left(self, environ: dict[str, Any], status: int, began: float) -> None:
        """Count what a request cost, and write its line."""
        known = record_in(environ)
        self.metrics.left(known)
        path = environ["PATH_INFO"]
        if self._log is None or (status < 400 and path.startswith(QUIET)):
            return
        fields = {
            "request_id": environ[REQUEST_ID],
            "method": environ["REQUEST_METHOD"][:20],
            "path": quote(path.encode("latin-1")[:PATH_BYTES], safe="/:@+,;=~"),
            "route": known.route,
            "status": status,
            "model": known.model,
            "version": known.version,
            "photos": known.photos,
            "ms": round((time.perf_counter() - began) * 1000, 2),
            # A copy: a thread whose answer came too late may still be at work.
            "stages_ms": {name: round(s * 1000, 2) for name, s in known.times.copy().items()},
            "bytes_in": known.received,
            "bytes_out": known.sent,
        }
        self._log.put(fields)

    def broken(self, request_id: str, status: int, sent: int) -> None:
        """Count what is answered before it was a whole request."""
        self.metrics.count("layerscope_requests_total", BROKEN, str(status))
        if self._log is not None:
            fields = {"request_id": request_id, "route": BROKEN, "status": status}
            self._log.put(fields | {"bytes_out": sent})

    def end(self) -> None:
        """Write the last lines."""
        if self._log is not None:
            self._log.end()

    def _drop(self) -> None:
        self.metrics.count("layerscope_lines_dropped_total")
