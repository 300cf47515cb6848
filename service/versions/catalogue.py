"""What is served at one time, as the parent process and its workers tell each other.

A message is its length in four bytes and JSON; descriptors travel beside it.
"""

import json
import os
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from models.terms import Device, Precision

_LENGTH = 4  # bytes
_MOST_DESCRIPTORS = 8
_MOST_BYTES = 16_000_000  # of a message


class Edition(NamedTuple):
    """One version of a model, its bytes in a file without a name."""

    name: str
    version: str
    path: str  # where it came from; only shown in this machine's log
    fingerprint: str
    number: int = -1  # the file's descriptor in this process; -1: it is not here
    precision: Precision = Precision("fp32")  # chosen once, so that all workers answer alike
    device: Device = Device()  # likewise

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two editions the same."""
        return self.name, self.version, self.fingerprint


class Refusal(NamedTuple):
    """A version that was found and is not served."""

    name: str
    version: str | None
    reason: str  # without paths


class Catalogue(NamedTuple):
    """All that is served from one instant to another."""

    generation: int
    editions: tuple[Edition, ...]
    refused: tuple[Refusal, ...]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Catalogue":
        """What `_asdict` gave, after JSON."""
        editions = tuple(
            Edition(*each)._replace(precision=Precision(*each[-2]), device=Device(*each[-1]))
            for each in fields["editions"]
        )
        refused = tuple(Refusal(*each) for each in fields["refused"])
        return cls(fields["generation"], editions, refused)


def send(link: socket.socket, message: dict[str, Any], numbers: Sequence[int] = ()) -> None:
    """Send a message with descriptors. Raises OSError: the other side is gone or does not read."""
    content = json.dumps(message).encode()
    whole = len(content).to_bytes(_LENGTH, "little") + content
    sent = socket.send_fds(link, [whole], list(numbers))
    link.sendall(whole[sent:])


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for a message. Raises EOFError: the other side is gone."""
    head, numbers, _, _ = socket.recv_fds(link, _LENGTH, _MOST_DESCRIPTORS)
    try:
        head += _exactly(link, _LENGTH - len(head))
        size = int.from_bytes(head, "little")
        if size > _MOST_BYTES:
            raise EOFError
        return json.loads(_exactly(link, size)), numbers
    except BaseException:
        for number in numbers:
            os.close(number)
        raise


def _exactly(link: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = link.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
