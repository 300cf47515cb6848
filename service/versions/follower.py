"""What a worker serves: it loads what the parent announces, and switches when all have.

The parent announces a catalogue with its next generation; every worker loads it beside the one
it serves and says so; then the parent writes the generation into memory that all of them share.
A request reads that number once, when it begins: so all workers switch at the same instant.
"""

import errno
import gc
import logging
import os
import signal
import socket
import threading
from pathlib import Path

from models.bundles.pinned import PinnedBundle
from models.classifier import Classifier
from service.memory import give_back_memory
from service.shelf import Shelf
from service.versions.catalogue import Catalogue, Edition, receive, send

log = logging.getLogger(__name__)


class Follower:
    """The shelf that is served, and perhaps the next one. Safe to ask from several threads."""

    def __init__(self, first: Catalogue, link: socket.socket, published: memoryview):
        """Load the first catalogue, and listen for others in a thread.

        Args:
            link: to the parent. published: its first number is the generation that is served.

        Raises:
            BundleError: a bundle does not load.
        """
        self._link, self._published = link, published
        self._loaded: dict[tuple[str, str, str], Classifier] = {}
        self._shelves: dict[int, Shelf] = {}
        self._ended = False  # without a line to the parent; the last requests are answered still
        self._load(first)
        _give_back_memory()
        threading.Thread(target=self._listen, name="versions", daemon=True).start()

    def current(self) -> Shelf:
        """What is served at this instant."""
        while True:  # a second round only where the number changed in between
            shelf = self._shelves.get(self._published[0])
            if shelf is not None:
                return shelf
            if self._ended:  # what is published since never arrived here
                return self._shelves[max(self._shelves)]

    @property
    def held(self) -> int:
        """How many bundles are open, each by a descriptor."""
        return len(self._loaded)

    def _load(self, catalogue: Catalogue) -> None:
        """Load what is new in it; it is served once its generation is published."""
        served_now = {one.name: one for one in self._loaded.values()}
        for edition in catalogue.editions:
            if edition.identity not in self._loaded:
                opened = self._open(edition)
                opened.warm(like=served_now.get(edition.name))
                self._loaded[edition.identity] = opened
        served = [self._loaded[edition.identity] for edition in catalogue.editions]
        self._shelves[catalogue.generation] = Shelf(served, catalogue.refused)

    def _open(self, edition: Edition) -> Classifier:
        path = Path(edition.path)
        bundle = PinnedBundle(path, edition.number, edition.name, edition.version)
        return Classifier(bundle, precision=edition.precision, device=edition.device)

    def _keep(self, generation: int) -> None:
        """Let go of every other shelf; requests that began with one still end with it."""
        for other in set(self._shelves) - {generation}:
            del self._shelves[other]
        held = {id(one) for shelf in self._shelves.values() for one in shelf}
        gone = [key for key, one in self._loaded.items() if id(one) not in held]
        for identity in gone:
            del self._loaded[identity]
        if gone:  # else there is nothing that is worth a stop
            _give_back_memory()

    def _listen(self) -> None:
        try:
            while True:
                message, numbers = receive(self._link)
                if "keep" in message:
                    self._keep(message["keep"])
                    continue
                catalogue = _with_descriptors(Catalogue.from_json(message), numbers)
                try:
                    self._load(catalogue)
                    answer: dict[str, int | str] = {"ready": catalogue.generation}
                except Exception as error:  # memory, or what the runtime raises
                    log.exception("a version did not load")
                    answer = {"failed": catalogue.generation, "reason": str(error)[:300]}
                send(self._link, answer)
        except Exception as error:  # without the parent's word nobody knows what to serve
            if not isinstance(error, EOFError | OSError):
                log.exception("a message about versions was not understood; this worker ends")
            self._ended = True
            os.kill(os.getpid(), signal.SIGTERM)  # and another takes its place


def _give_back_memory() -> None:
    """Collect what a swap left, and let the system have it."""
    gc.collect()
    give_back_memory()


def _with_descriptors(catalogue: Catalogue, numbers: list[int]) -> Catalogue:
    """The same, each edition that is marked as new with its descriptor in this process.

    Raises:
        OSError: one is missing; the system drops what finds no free descriptor here.
    """
    if len(numbers) != sum(edition.number >= 0 for edition in catalogue.editions):
        log.warning("no descriptor was free for a new version; this worker ends, another starts")
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    arrived = iter(numbers)
    editions = tuple(
        edition._replace(number=next(arrived)) if edition.number >= 0 else edition
        for edition in catalogue.editions
    )
    return catalogue._replace(editions=editions)
