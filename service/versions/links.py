"""The parent's lines to its workers: who is there, and who has loaded what."""

import select
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from service.versions.catalogue import Catalogue, Edition, receive, send

ANSWER_S = 5.0  # for a worker that has begun an answer to end it


@dataclass(eq=False)
class _Link:
    ours: socket.socket
    theirs: socket.socket | None
    told: set[int] = field(default_factory=set)  # generations
    ready: set[int] = field(default_factory=set)


class Links:
    """One line for each worker."""

    def __init__(self) -> None:
        self._links: list[_Link] = []

    def open(self) -> None:
        """Make the line of the worker that is forked next; let go of those of dead ones."""
        for link in list(self._links):
            if _has_left(link.ours):
                self._drop(link)
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWER_S)
        self._links.append(_Link(ours, theirs))

    def forked(self) -> None:
        """Close the worker's ends in the parent, so that its death is noticed."""
        for link in self._links:
            if link.theirs:
                link.theirs.close()
                link.theirs = None

    def join(self) -> socket.socket:
        """In the worker: its own end; all others are closed."""
        mine = self._links[-1].theirs
        assert mine is not None
        for link in self._links:
            link.ours.close()
        self._links = []
        return mine

    def hear(self, generation: int) -> str | None:
        """Take the workers' answers; why one could not load this generation, if so."""
        failure = None
        for link in list(self._links):
            while message := self._answer(link):
                if message.get("failed") == generation:
                    failure = str(message.get("reason"))
                link.ready.add(int(message.get("ready", -1)))
        return failure

    def all_ready(self, catalogue: Catalogue, new: Edition | None) -> bool:
        """Announce a catalogue to whoever does not know it; whether all have loaded it."""
        for link in list(self._links):
            if catalogue.generation not in link.told:
                link.told.add(catalogue.generation)
                self._send(link, _announced(catalogue, new), [new.number] if new else [])
        return all(catalogue.generation in link.ready for link in self._links)

    def keep(self, generation: int) -> None:
        """Let every worker drop what is not of this generation."""
        for link in list(self._links):
            link.told, link.ready = set(), set()
            self._send(link, {"keep": generation}, [])

    def _answer(self, link: _Link) -> dict[str, Any] | None:
        try:
            readable, _, _ = select.select([link.ours], [], [], 0)
            return receive(link.ours)[0] if readable else None
        except (OSError, EOFError):
            self._drop(link)
            return None

    def _send(self, link: _Link, message: dict[str, object], numbers: list[int]) -> None:
        try:
            send(link.ours, message, numbers)
        except OSError:
            self._drop(link)  # a worker without its line ends itself, and another is started

    def _drop(self, link: _Link) -> None:
        with suppress(OSError):
            link.ours.close()
        if link in self._links:
            self._links.remove(link)


def _has_left(line: socket.socket) -> bool:
    """Whether nobody holds the other end."""
    poll = select.poll()
    poll.register(line, 0)  # of an end that is closed it tells unasked
    return bool(poll.poll(0))


def _announced(catalogue: Catalogue, new: Edition | None) -> dict[str, object]:
    """A catalogue as JSON; only what is new in it has a descriptor, which travels with it."""
    editions = [
        each._replace(number=0 if new and each.number == new.number else -1)
        for each in catalogue.editions
    ]
    return catalogue._replace(editions=tuple(editions))._asdict()
