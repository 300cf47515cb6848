"""One client's connection: which phase it is in since when, and how many bytes it holds.

Nothing here blocks or waits. What nobody will read is let go at once.
"""

import logging
import select
import time
from contextlib import suppress
from typing import Any

from gunicorn.asgi.parser import LimitRequestHeaders

from service.headers import answer_bytes, new_request_id
from service.network.parser import AHEAD, EMPTY_LINES, Parser, check_framing, size_of, take_target
from service.network.readable import Phase, Readable

log = logging.getLogger(__name__)

LINGER_S = 1.0
HALF_CLOSED_S = 1.0  # a client that has closed its side is taken for gone after this long
FAR_AHEAD_BYTES = 65_536  # of requests sent before the answer to an earlier one
HEAD_BYTES = 65_536  # of all headers together: each is looked at in Python, while others wait
CONNECTION = "layerscope.connection"  # in the scope of a request

_TOO_LONG = f"all headers together are longer than {HEAD_BYTES:,} bytes"


class Connection(Readable):
    """gunicorn's own HTTP/1.1 protocol, with phases, a count of bytes, and our errors."""

    _response_buffer: bytes | None

    def __init__(self, worker: Any):
        super().__init__(worker)
        self.since = time.monotonic()
        self.received = 0  # bytes of the body of a request, whether they are kept or not
        self._fed = self._head_end = 0  # bytes that the parser was given, and up to the body
        self._wanted = True  # somebody reads the body
        self.came_ahead = self._fed_ahead = False  # before the answer to the request before it
        self.endless = False  # only its end says where the answer ends
        self.held = 0  # bytes of a body that arrives, or of an answer that leaves
        self.unparsed = 0  # bytes of a head that arrives, or of requests that came ahead
        self.heard = False  # anything of the request that arrives
        self.ended = False  # the client has closed its side
        self.told = False  # it was cut with a word, which has been counted and logged
        self._closed: bool = False  # gunicorn's: nothing more is said

    def enter(self, phase: Phase) -> None:
        """Begin a phase; its clock starts."""
        self.phase = phase
        self.since = time.monotonic()

    def hold(self, size_bytes: int) -> None:
        """Count bytes that this connection keeps in memory."""
        self.held += size_bytes
        self.worker.hold(size_bytes)

    def release(self) -> None:
        """Count none any more of the body or the answer."""
        self.worker.hold(-self.held)
        self.held = 0

    def release_all(self) -> None:
        """Count none any more, nor of what the parser keeps."""
        self.worker.hold(-self.unparsed)
        self.unparsed = 0
        self.release()

    async def sent(self) -> None:
        """Wait until the system has all that was written: of an answer without a body, too."""
        if self._response_buffer:  # its head, which gunicorn keeps for the body
            self._safe_write(self._response_buffer)
            self._response_buffer = None
        if self._flow_control is not None:
            await self._flow_control.drain()

    def drop_body(self) -> None:
        """Keep nothing of the body, nor of what is still to come of it."""
        self._wanted = False
        self.release()
        if self._body_receiver is not None:
            self._body_receiver._chunks.clear()
            self._body_receiver._buffered = 0
        self._resume_reading()

    @property
    def taken(self) -> int:
        """Bytes that the body has taken on its way: its content, and the sizes of its chunks."""
        return self._fed - len(self._callback_parser._buffer) - self._head_end

    @property
    def in_the_way(self) -> bool:
        """Whether it keeps bytes because its client is slow, or is far ahead of its answers."""
        slow = self.phase in (Phase.ARRIVING, Phase.SENDING)
        return self.unparsed > FAR_AHEAD_BYTES or (slow and self.held + self.unparsed > 0)

    @property
    def silent(self) -> bool:
        """Whether nothing of a request has come, nor waits in the system to be read."""
        if self.unparsed or not (self.phase is Phase.IDLE or not self.heard):
            return False
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    @property
    def whole(self) -> bool:
        """Whether the last byte of the request has arrived."""
        return self._body_receiver is not None and bool(self._body_receiver._complete)

    @property
    def gone(self) -> bool:
        """Whether nothing can be said any more: it was cut, with a word or not, or has left."""
        return self._closed

    def cut(self, status: int, code: str, message: str) -> None:
        """End a request that is overdue or in the way: with a word while it arrives."""
        if self.phase is Phase.ARRIVING and self.heard and not self._closed:
            self._say(status, code, message)
            self._close_transport()
        else:
            self.transport.abort()

    # What asyncio calls

    def connection_made(self, transport: Any) -> None:
        """Begin to count; writing counts as ended when the last byte is with the system."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        transport.max_size = self.worker.rounds.read_bytes  # asyncio reads so much at once
        self.worker.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what was held; gunicorn cancels the request's task."""
        self.worker.connections.discard(self)
        super().connection_lost(exc)
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; the first byte after an answer starts a new clock."""
        with self.worker.rounds.part(self, self.worker.loop) as most:
            self.transport.max_size = most
            self.note_piece(len(data))
            if self.phase is Phase.LINGERING:
                return
            if self._callback_parser.fresh:
                data = EMPTY_LINES.sub(b"", data)  # some clients end a body with one
                if not data:
                    return
            if self.phase is Phase.IDLE:
                self._cancel_keepalive_timer()
                self.enter(Phase.ARRIVING)
            self.heard = True
            super().data_received(data)

    def eof_received(self) -> bool:
        """Let a client that has closed its side have its answer, if that comes soon."""
        self.ended = True
        if self.phase is Phase.ARRIVING and self._body_receiver is not None:
            self._body_receiver.signal_disconnect()  # the body broke off: the front says so
            return True
        if self.phase in (Phase.ANSWERING, Phase.SENDING):
            self.worker.loop.call_later(HALF_CLOSED_S, self._leave_if_waiting)
            return True
        return False

    def _leave_if_waiting(self) -> None:
        if self.phase is Phase.ANSWERING:
            self.transport.abort()

    # What gunicorn's parser and protocol call

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Also count what the parser keeps: a head that is not whole, and later requests."""
        self._fed_ahead = data is AHEAD
        self._fed += 0 if self._fed_ahead else len(data)
        try:
            going_on = bool(super()._feed_callback_parser(data))
        except Exception as error:  # of gunicorn's parser: a number of 5,000 digits, for one
            log.warning("not a valid HTTP request: %s", type(error).__name__)
            self._send_error_response(400, "it cannot be parsed")
            self._close_transport()
            going_on = False
        parser, before = self._callback_parser, self.unparsed
        self.unparsed = 0
        if not self._closed:
            parser.skip_empty_lines()
            self.unparsed = len(parser._buffer)
            if not parser.is_complete and self._fed_ahead and self.ended:
                self.transport.close()  # the rest of this request will never come
            elif not parser.is_complete:
                self.unparsed += size_of(parser._headers_list)
                self.read_on()  # the rest of this request is still to come
        self.worker.hold(self.unparsed - before)
        return going_on and self._refuse_long_head()

    def _refuse_long_head(self) -> bool:
        """See that a head that is not whole yet may go on; else say so and return False."""
        arriving = self.phase is Phase.ARRIVING and self._body_receiver is None
        if self._closed or not arriving or self.unparsed <= HEAD_BYTES:
            return True
        self._send_error_response(431, _TOO_LONG)
        self._close_transport()
        return False

    def _setup_callback_parser(self) -> None:
        super()._setup_callback_parser()
        self._callback_parser.__class__ = Parser  # gunicorn names its own

    def _on_headers_complete(self) -> bool:
        if self.phase is Phase.IDLE:  # a request that came together with the one before
            self.enter(Phase.ARRIVING)
        self.received, self._wanted, self.came_ahead = 0, True, self._fed_ahead
        self._head_end = self._fed - len(self._callback_parser._buffer)
        if size_of(self._callback_parser.headers) > HEAD_BYTES:
            raise LimitRequestHeaders(_TOO_LONG)
        take_target(self._callback_parser)
        return bool(super()._on_headers_complete())

    def _on_body(self, chunk: bytes) -> None:
        self.received += len(chunk)
        check_framing(self.taken, self.received)
        if self._wanted:
            self.hold(len(chunk))  # which may cut this very connection
        if self._wanted:
            super()._on_body(chunk)

    def _on_message_complete(self) -> None:
        check_framing(self.taken, self.received)
        super()._on_message_complete()
        self.drips = 0
        if self.phase is Phase.ARRIVING:  # else it was cut for its last bytes, or is answered
            self.enter(Phase.ANSWERING)

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(request, sockname, peername)
        scope[CONNECTION] = self
        return scope

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False  # answered as the plain GET that it also is

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Also close at a stop, and where a request is not whole or its sender has closed."""
        closing = super()._will_close(request, response_requires_close) or self.endless
        return bool(closing or self.ended or not self.whole or self.worker.stopping)

    def _send_error_response(
        self, status: int, message: str, extra_headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """What is no HTTP is refused in the shape of every other error."""
        status = {501: 400, 500: 503}.get(status, status)
        if status == 503:
            self._say(503, "internal", "the service failed on this request; it has been logged")
        else:
            self._say(status, "bad_request", f"not a valid HTTP request: {message[:200]}")

    def _say(self, status: int, code: str, message: str) -> None:
        if self._closed:
            return
        given = dict(self._callback_parser.headers).get(b"x-request-id", b"")
        request_id = new_request_id({"HTTP_X_REQUEST_ID": given.decode("latin-1")})
        head, body = answer_bytes(status, code, message, request_id)
        if self._callback_parser.method == b"HEAD":
            body = b""
        self.worker.asgi.watch.broken(request_id, status, len(body))
        self.told = True
        self._safe_write(head + body)

    def _close_transport(self) -> None:
        """Close; a client that still sends, or may, is listened to for a moment."""
        if self._closed:
            return
        self._closed = True
        if self._body_receiver is not None and not self.whole:
            self._body_receiver.signal_disconnect()  # the front lets go of what came
        self._let_go()
        if self.ended:
            self.transport.close()
            return
        self.enter(Phase.LINGERING)
        try:
            self.transport.write_eof()
        except OSError:  # it has reset the connection
            self.transport.abort()
        else:
            self._resume_reading()

    def _let_go(self) -> None:
        """Keep no bytes: circles of references make a connection outlive its end by far."""
        self.drop_body()
        self.release_all()
        if self._callback_parser is not None:
            with suppress(BufferError):
                self._callback_parser._buffer.clear()
