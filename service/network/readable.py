"""What a connection is doing, and when it is read.

A connection is ARRIVING from the moment it is accepted, or from the first byte of a further
request, until its request is whole; then ANSWERING, then SENDING until the last byte has left,
then IDLE. A request that is refused by its head goes from ARRIVING to SENDING. A connection whose
last answer has left is LINGERING: what the client still sends, the rest of a request or further
ones, is dropped for a moment, because closing at once would reset the connection and take the
answer from it.

It is not read while what came waits, nor while others have their turn.
"""

from enum import Enum, auto
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

FEW_BYTES = 4_096  # a piece of a request; after
DRIPS = 16  # so small ones a connection is read
DRIP_S = 0.1  # apart, so that several arrive at once


class Phase(Enum):
    """What a connection is doing."""

    ARRIVING = auto()
    ANSWERING = auto()
    SENDING = auto()
    IDLE = auto()
    LINGERING = auto()


class Readable(ASGIProtocol):
    """gunicorn's own HTTP/1.1 protocol, whose reading rests and goes on as ours must."""

    def __init__(self, worker: Any):
        super().__init__(worker)
        self.phase = Phase.ARRIVING
        self.drips = 0  # small pieces of the request that arrives
        self._resting = False

    def note_piece(self, size: int) -> None:
        """Read what comes in small pieces less often: each costs as much as a large one."""
        self.drips += size < FEW_BYTES
        if self.drips > DRIPS:
            self.rest(True)
            self.worker.loop.call_later(DRIP_S, self.rest, False)

    def rest(self, resting: bool) -> None:
        """Read nothing for a while, or go on."""
        self._resting = resting
        if resting:
            self._pause_reading()
        elif self.transport is not None and not self.transport.is_closing():
            parser = self._callback_parser
            if parser is None or parser.is_complete:
                self._resume_reading()
            else:
                self.read_on()

    def read_on(self) -> None:
        """Read on, whatever waits, but not out of turn."""
        if not self._resting:
            super()._resume_reading()

    def _resume_reading(self) -> None:
        """Read on, unless requests that came ahead still wait for their answers."""
        waiting = self._http1_buffered() > self._max_buffer_size // 2
        if self.phase is Phase.LINGERING or not waiting:
            self.read_on()

    def _http1_buffered(self) -> int:
        """Bytes that wait for their turn, also in our parser: gunicorn asks its own alone."""
        receiver, parser = self._body_receiver, self._callback_parser
        held = receiver.buffered if receiver is not None else 0
        return int(held + (len(parser._buffer) if parser.is_complete else 0))
