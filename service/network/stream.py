"""An answer that is sent piece by piece, while a thread still computes the rest.

What waits here to be sent is bounded by the photos of one request. A client that does not read
delays only itself: the thread goes on, and after the time for an answer the rest is dropped.
"""

import asyncio
import json
import threading
from typing import Any

from service.errors import Busy, error_body
from service.network.connection import Connection
from service.network.environ import Answer, run_wsgi, start_message
from service.network.lanes import Lane
from service.network.readable import Phase
from service.watching.record import record_in


class Stream:
    """One request whose answer may come in pieces."""

    def __init__(self, app: Any, environ: dict[str, Any], connection: Connection, send: Any):
        self._app = app
        self._environ = environ
        self._connection = connection
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()  # None: it was the last
        self._unwanted = threading.Event()
        self._begun = False

    async def run(self, lane: Lane, seconds: float) -> Answer | None:
        """Have a thread answer, and send the pieces; an answer of one piece is returned instead.

        Raises:
            Busy: no place is free, or nothing was ready in time.
        """
        work = asyncio.ensure_future(
            lane.run(lambda: run_wsgi(self._app, self._environ, self._put))
        )
        work.add_done_callback(lambda _: self._pieces.put_nowait(None))
        try:
            async with asyncio.timeout(seconds):
                while (piece := await self._pieces.get()) is not None:
                    await self._pass_on(piece)
                if not self._begun:
                    return work.result()
        except TimeoutError:
            message = f"the answer took over {seconds:g} s; send less, or try again"
            if not self._begun:
                raise Busy(message) from None
            await self._pass_on(self._last_words(message))
        finally:
            self._unwanted.set()
            work.cancel()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    def _put(self, piece: Any) -> bool:
        """Take a piece from the thread; False: it may stop."""
        if not self._unwanted.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        return not self._unwanted.is_set()

    async def _pass_on(self, piece: Any) -> None:
        if isinstance(piece, bytes):
            self._connection.hold(len(piece))
            record_in(self._environ).sent += len(piece)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            self._connection.release()
            return
        self._begun = True
        self._connection.endless = self._environ["SERVER_PROTOCOL"] == "HTTP/1.0"
        self._connection.release()  # the body of the request is with the thread
        if self._connection.phase is Phase.ANSWERING:
            self._connection.enter(Phase.SENDING)
        await self._send(start_message(*piece))

    def _last_words(self, message: str) -> bytes:
        """The line that ends an answer which took too long."""
        return json.dumps(error_body(Busy.code, message, self._environ)).encode() + b"\n"
