"""Reads a request whole, admits or refuses it, has it answered in a thread, sends the answer."""

import asyncio
import logging
import time
from typing import Any

from flask import Flask

from models.errors import LayerscopeError
from service.errors import (
    REQUEST_ID,
    BadRequestBody,
    BodyIncomplete,
    BodyTooLarge,
    Busy,
    describe,
)
from service.headers import common_headers, new_request_id
from service.health import STOPPING
from service.incoming.guard import ADMITTED
from service.incoming.json_body import start_parser
from service.lines import LINES
from service.network.connection import CONNECTION, Connection
from service.network.environ import Answer, Scope, make_environ, put_body, run_wsgi, start_message
from service.network.lanes import Lane, Turns
from service.network.readable import Phase
from service.network.stream import Stream
from service.network.weight import is_heavy
from service.settings import Settings
from service.watching.metrics import CLIENT_LEFT
from service.watching.record import record_in
from service.watching.requests import Watch

log = logging.getLogger(__name__)

SMALL_BODY_BYTES = (
    1_000_000  # a body up to here is read before it is refused: the connection lives on
)
HEAVY_THREADS = 2  # for batches, large photos and drawings, so that they delay no small prediction
HEAVY_NICENESS = 12  # they get a fifth of a core that single photos want, too
ANSWER_HEAD_BYTES = 1_000  # about
# Between two of a kind, while photos are in work: each takes half a millisecond of the event loop.
AHEAD_S, REFUSED_S, LIVE_S, SHED_S = 0.01, 0.005, 0.002, 0.0005
KIND_CHARACTERS = 300  # of a Content-Type: it is taken apart in the event loop
LIVE = "/v2/health/live"
ALIVE = b'{"live":true}\n'  # as the route in health.py says it
IN_THREAD = ("wait", "decode", "network")  # stages that end before the answer is written
HEALTH = ("/v2/health/", "/metrics")
# What else is posted draws, or looks into many layers: that takes longer.
PREDICTIONS = ("/predict", ":predict", "/infer")


class Front:
    """An ASGI application in front of a Flask one."""

    def __init__(self, app: Flask):
        """Make the lanes of this worker."""
        self._app = app
        self._guard = app.extensions["guard"]
        self._settings: Settings = app.extensions["settings"]
        threads, waiting = self._settings.request_threads, self._settings.waiting_photos
        self._health = Lane("health", 1, 2_000)
        self._pages = Lane("pages", 1, 200, gives_way=self._is_busy)
        self._photos = Lane("photos", threads, waiting)
        self._heavy = Lane("heavy", HEAVY_THREADS, waiting, HEAVY_NICENESS, self._has_photos)
        self.lanes = (self._health, self._pages, self._photos, self._heavy)
        self.watch = Watch(app.extensions["metrics"], app.url_map, self._settings.access_log)
        self._turns_ahead = Turns(AHEAD_S, self._is_busy)
        self._turns_refused = Turns(REFUSED_S, self._is_busy)
        self._turns_live = Turns(LIVE_S, self._is_busy)
        self._turns_live_again = Turns(LIVE_S, self._is_busy)  # of who asks on and on
        self._turns_shed = Turns(SHED_S, self._is_busy)
        start_parser(self._has_photos)
        self._shed = 0
        self._shed_logged = 0.0

    @property
    def busy(self) -> int:
        """How many requests wait or are in work, but for health and pages."""
        return self._photos.taken + self._heavy.taken

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        connection: Connection = scope[CONNECTION]
        if connection.came_ahead:
            await self._turns_ahead.take()
        environ = make_environ(scope)
        environ[REQUEST_ID] = new_request_id(environ)
        began, status = time.perf_counter(), CLIENT_LEFT
        try:
            try:
                answer = await self._answer(environ, connection, receive, send)
            except LayerscopeError as error:
                if connection.gone:
                    if connection.told:  # it was overdue: that has been counted and logged
                        status = 0
                    else:
                        self.watch.answered(environ, status, began)
                    return
                connection.drop_body()
                shed = isinstance(error, Busy)
                await (self._turns_shed if shed else self._turns_refused).take()
                answer = self._refuse(error, environ)
            if answer is None:  # it has left as a stream
                status = 200
                self.watch.answered(environ, status, began)
                return
            status, headers, body = answer
            if environ["REQUEST_METHOD"] == "HEAD":
                body = b""
            record_in(environ).sent = len(body)
            if connection.phase in (Phase.ARRIVING, Phase.ANSWERING):  # refused by its head alone
                connection.enter(Phase.SENDING)
            self.watch.answered(environ, status, began)  # before: a worker may die while it sends
            ready = time.perf_counter()
            await self._send((status, headers, body), connection, send)
            record_in(environ).spend("write", time.perf_counter() - ready)
        except asyncio.CancelledError:
            if status == CLIENT_LEFT:
                self.watch.answered(environ, status, began)
            raise
        finally:
            if status:
                self.watch.left(environ, status, began)

    async def _answer(
        self, environ: dict[str, Any], connection: Connection, receive: Any, send: Any
    ) -> Answer | None:
        """The answer, unless it was sent as a stream.

        Raises:
            LayerscopeError: for what is refused before a thread is taken.
        """
        self._guard.check(environ)
        environ[ADMITTED] = True
        environ[STOPPING] = connection.worker.stopping
        if environ["PATH_INFO"] == LIVE:
            again = connection.req_count > 1
            await (self._turns_live_again if again else self._turns_live).take()
            return self._alive(environ)  # at once, whatever the threads do
        if (length := len(environ.get("CONTENT_TYPE", ""))) > KIND_CHARACTERS:
            raise BadRequestBody(
                f"a Content-Type of {length:,} characters; the limit is {KIND_CHARACTERS}"
            )
        lane = self._lane(environ)
        declared = environ.get("CONTENT_LENGTH", "0")[:15]  # Python refuses to count 4,300 digits
        if declared.isascii() and declared.isdigit() and int(declared) > SMALL_BODY_BYTES:
            if int(declared) > self._settings.upload_bytes:
                raise BodyTooLarge(int(declared), self._settings.upload_bytes)
            lane.check()
        began = time.perf_counter()
        posted = lane is self._photos or lane is self._heavy
        body = await self._read(connection, receive, posted)
        record_in(environ).spend("read", time.perf_counter() - began)
        record_in(environ).received = connection.received
        if body and connection.worker.is_full(small=len(body) <= SMALL_BODY_BYTES):
            raise Busy("many large requests wait to be answered; try again in a second")
        put_body(environ, body)
        if posted:
            lane.check()  # before more is done for it
        if lane is self._photos and is_heavy(environ, body, self._settings.limits):
            lane = self._heavy
        del body
        if posted and LINES in environ.get("HTTP_ACCEPT", ""):
            stream = Stream(self._app.wsgi_app, environ, connection, send)
            answer = await stream.run(lane, self._settings.answer_s)
            if answer is None:
                self._finish(connection)
            return answer
        return await self._work(lane, environ)

    def _alive(self, environ: dict[str, Any]) -> Answer:
        """What Flask would answer, for a third of what that costs: it is asked for most."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return run_wsgi(self._app.wsgi_app, environ)
        record_in(environ).route = LIVE
        kind = [("Content-Type", "application/json"), ("Content-Length", str(len(ALIVE)))]
        return 200, kind + common_headers(environ, self._settings), ALIVE

    def _is_busy(self) -> bool:
        return self.busy > 0

    def _has_photos(self) -> bool:
        return self._photos.in_use

    def _lane(self, environ: dict[str, Any]) -> Lane:
        if environ["PATH_INFO"].startswith(HEALTH):
            return self._health
        if environ["REQUEST_METHOD"] != "POST":
            return self._pages
        return (
            self._photos if environ["PATH_INFO"].rstrip("/").endswith(PREDICTIONS) else self._heavy
        )

    async def _read(self, connection: Connection, receive: Any, wanted: bool) -> bytes:
        """The whole body, or nothing of one that is not wanted.

        Raises BodyIncomplete, BodyTooLarge.
        """
        if not wanted:
            connection.drop_body()
        body = bytearray()  # no list of parts: each of a million chunks would cost an object
        while True:
            message = await receive()
            if message["type"] != "http.request":
                size = connection.received
                raise BodyIncomplete(f"the body broke off after {size:,} bytes: send it again")
            if not body and not message["more_body"]:
                return bytes(message["body"])
            body += message["body"]
            if connection.taken > self._settings.upload_bytes:
                raise BodyTooLarge(connection.taken, self._settings.upload_bytes)
            if not message["more_body"]:
                return bytes(body)

    async def _work(self, lane: Lane, environ: dict[str, Any]) -> Answer:
        """Have a thread answer. Raises Busy: no place, or not done in time."""
        seconds = self._settings.answer_s
        try:
            async with asyncio.timeout(seconds):
                asked = time.perf_counter()
                return await lane.run(lambda: self._run(environ, asked))
        except TimeoutError:
            raise Busy(f"the answer took over {seconds:g} s; send less, or try again") from None

    def _run(self, environ: dict[str, Any], asked: float) -> Answer:
        """Answer in a thread; what is neither decoding nor network counts as `encode`."""
        began = time.perf_counter()
        answer = run_wsgi(self._app.wsgi_app, environ)
        spent = time.perf_counter() - began
        known = record_in(environ)
        known.spend("encode", spent - sum(known.times.get(one, 0) for one in IN_THREAD))
        known.spend("wait", began - asked)
        return answer

    async def _send(self, answer: Answer, connection: Connection, send: Any) -> None:
        status, headers, body = answer
        connection.drop_body()
        connection.hold(ANSWER_HEAD_BYTES + len(body))
        await send(start_message(status, headers))
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await connection.sent()
        self._finish(connection)  # before the next request may begin, which ends this one
        await send({"type": "http.response.body", "body": b""})

    def _finish(self, connection: Connection) -> None:
        """The last byte has left."""
        connection.release()
        if connection.phase is Phase.SENDING:
            connection.enter(Phase.IDLE)
        if connection.ended and not connection.unparsed:  # else the next answer says that it closes
            connection.transport.close()

    def _refuse(self, error: LayerscopeError, environ: dict[str, Any]) -> Answer:
        if isinstance(error, Busy):
            self._shed += 1
            now = time.monotonic()
            if now - self._shed_logged > 1:  # one line a second, however many are refused
                log.warning("overloaded: %d requests refused since the last line", self._shed)
                self._shed, self._shed_logged = 0, now
        status, headers, body = describe(error, environ)
        return status, headers + common_headers(environ, self._settings), body
