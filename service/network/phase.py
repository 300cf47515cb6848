"""What a connection is doing.

A connection is ARRIVING from the moment it is accepted, or from the first byte of a further
request, until its request is whole; then ANSWERING, then SENDING until the last byte has left,
then IDLE. A connection whose last answer has left is LINGERING: what the client still sends,
the rest of a request or further ones, is dropped for a moment, because closing at once would
reset the connection and take the answer from it.
"""

from enum import Enum, auto


class Phase(Enum):
    """What a connection is doing."""

    ARRIVING = auto()
    ANSWERING = auto()
    SENDING = auto()
    IDLE = auto()
    LINGERING = auto()
