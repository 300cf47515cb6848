"""The parent process: watches where versions come from, tries them, and has them swapped in.

Nothing here loads a network or waits. A new version is tried in a process of its own
(`models/trial.py`), which leaves a verified copy in a file without a name; the copy is what workers
load, also one that is started later, whatever has become of the folder since. When every worker
has loaded it, one number in shared memory changes, and all of them serve it.
"""

import logging
import mmap
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from models.errors import BundleError
from models.terms import Device, Precision, Terms
from service.versions.catalogue import Catalogue, Edition, Refusal
from service.versions.links import Links
from service.versions.slot import Slot
from service.versions.sources import NO_MANIFEST, UNFINISHED, ModelFolder, NamedBundles, Offer
from service.versions.trials import Trial, clean

log = logging.getLogger(__name__)

USUAL = Terms()
LOOK_S = 0.5  # between two looks at the folders
TRIALS = 2  # at the same time
REFUSALS = 100  # that are listed; workers are told of each
GONE = 2  # looks in a row without a model's folder, until it is taken for removed


class Keeper:
    """What is served, in the parent process. `step` is to be called often, and never waits."""

    def __init__(
        self,
        source: NamedBundles | ModelFolder,
        terms: Terms = USUAL,
        say: Callable[[str], None] = lambda text: None,
    ):
        """Serve nothing yet.

        Args:
            terms: what every bundle is tried and served on.
            say: told of each version that begins to be served.
        """
        self._source, self._terms, self._say = source, terms, say
        self._slots: dict[str, Slot] = {}
        self._trials: dict[str, Trial] = {}
        self._next_look = 0.0
        self._started = False
        self._shared = mmap.mmap(-1, 8)  # inherited by every worker
        self._published = memoryview(self._shared).cast("Q")
        self._links = Links()
        self.catalogue = Catalogue(0, (), ())
        self._pending: Catalogue | None = None
        self._new: tuple[Slot, Edition] | None = None  # in the pending catalogue alone
        self._generations = 0  # that were made, published or not: no two have one number
        self._trouble = ""  # said once

    def begin(self) -> None:
        """Start the first trials, and wait for none: `start` does."""
        self._look(at_once=True)

    def start(self) -> None:
        """Try everything that is there and serve what passes.

        Raises:
            BundleError: a bundle that was given by name is refused.
        """
        while True:
            self._look(at_once=True)
            if not self._trials and not self._pending:
                break
            while self._trials or self._pending:
                self._advance()
                time.sleep(0.01)
        names: set[str] = set()
        for slot in self._slots.values():
            if self._source.lasting and slot.current is None:
                known = next(iter(slot.refused.values()), None)
                reason = known.reason if known else self._trouble or "it changed while it was read"
                raise BundleError(Path(slot.key), reason)
            if slot.current and slot.name in names:  # what is refused has no name of its own
                reason = f"a model called {slot.name!r} is served already"
                raise BundleError(Path(slot.key), reason)
            names.add(slot.name)
        self._started = True

    @property
    def names(self) -> list[str]:
        """Of the models that are served, the default first."""
        return [edition.name for edition in self.catalogue.editions]

    @property
    def precisions(self) -> dict[str, Precision]:
        """Of the models that are served, by name."""
        return {edition.name: edition.precision for edition in self.catalogue.editions}

    @property
    def devices(self) -> dict[str, Device]:
        """Of the models that are served, by name."""
        return {edition.name: edition.device for edition in self.catalogue.editions}

    def look_again(self) -> None:
        """Try again what was refused, at the next step."""
        self._next_look = 0.0
        for slot in self._slots.values():
            for path in slot.refused:
                slot.judged.pop(path, None)

    @property
    def busy(self) -> bool:
        """Whether a step soon would find something to do."""
        return bool(self._trials or self._pending)

    def step(self) -> None:
        """Do what can be done now."""
        self._advance()
        if not self._pending and time.monotonic() >= self._next_look:
            self._look()
            self._advance()

    def end(self) -> None:
        """Stop what is still being tried."""
        for trial in self._trials.values():
            trial.end()
        self._trials.clear()

    def open_link(self) -> None:
        """Prepare the next worker, just before it is forked."""
        self._links.open()

    def close_link(self) -> None:
        """Close the worker's end, in the parent, just after it was forked."""
        self._links.forked()

    def join(self) -> tuple[Catalogue, socket.socket, memoryview]:
        """In the worker: what its `Follower` begins with, its line, and the generation's place."""
        link = self._links.join()
        for trial in self._trials.values():
            trial.forget()
        if self._new is not None:
            os.close(self._new[1].number)  # the parent sends it once more
        return self.catalogue, link, self._published

    def _look(self, at_once: bool = False) -> None:
        """Start trials of what has changed."""
        self._next_look = time.monotonic() + LOOK_S
        trouble = ""
        try:
            self._try_what_is_new(self._source.look(), at_once)
        except OSError as error:  # the folder itself is gone, or no descriptor is left
            trouble = error.strerror or str(error)
            if trouble != self._trouble:
                log.warning("no new version can be looked for: %s", trouble)
        self._trouble = trouble
        self._publish_rest()

    def _try_what_is_new(self, offers: dict[str, Offer], at_once: bool) -> None:
        """Raises OSError: a trial cannot be started."""
        for key in offers:
            self._slots.setdefault(key, Slot(key))
        for key, slot in list(self._slots.items()):
            slot.missing = 0 if key in offers else slot.missing + 1
            if slot.missing >= GONE:
                del self._slots[key]
            if key not in offers or key in self._trials or len(self._trials) >= TRIALS:
                continue
            while found := slot.next_candidate(offers[key], at_once):
                candidate, stamp = found
                if stamp != NO_MANIFEST:
                    self._trials[key] = Trial(candidate, stamp, self._terms)
                    break
                slot.judged[candidate.path] = stamp
                self._refuse(
                    slot, candidate.path, Refusal(slot.name, candidate.version, UNFINISHED)
                )

    def _advance(self) -> None:
        """Publish what every worker has loaded, then take verdicts, one after the other."""
        while True:
            if self._pending:
                failure = self._links.hear(self._pending.generation)
                if failure is not None:
                    self._give_up(failure)
                elif self._links.all_ready(self._pending, self._new[1] if self._new else None):
                    self._publish()
            if self._pending:
                return
            ended = next((key for key, trial in self._trials.items() if trial.done()), None)
            if ended is None:
                return
            self._judge(ended, self._trials.pop(ended))

    def _judge(self, key: str, trial: Trial) -> None:
        slot, path = self._slots.get(key), trial.candidate.path
        edition = trial.edition()
        if slot is None:
            trial.discard()
            return
        slot.judged[path] = trial.stamp
        slot.refused.pop(path, None)
        if isinstance(edition, Edition) and slot.current and edition.name != slot.current.name:
            reason = f"it is called {edition.name!r}; expected {slot.current.name!r}"
            edition = Refusal(slot.name, edition.version, reason)
        if isinstance(edition, Refusal):
            trial.discard()
            self._next_look = 0.0  # there may be an older one to try
            self._refuse(slot, path, edition._replace(name=slot.name), trial.passing)
            self._publish_rest()
        elif slot.current and slot.current.identity == edition.identity:
            trial.discard()  # touched or copied anew, and the same
            slot.current = slot.current._replace(path=edition.path)
            self._publish_rest()
        else:
            self._prepare(slot, edition)

    def _refuse(self, slot: Slot, path: Path, refusal: Refusal, passing: bool = False) -> None:
        words = slot.refuse(path, refusal, passing)
        if self._started or not self._source.lasting:  # else it ends the start, as an error
            log.warning("model %s: %s", slot.name, words)

    def _prepare(self, slot: Slot, edition: Edition) -> None:
        """Have every worker load a new edition."""
        self._new = slot, edition
        self._pend(self._served())

    def _publish_rest(self) -> None:
        """Publish refusals, and that models are gone, if anything changed."""
        if self._pending:
            return
        served = self._served()
        if served != self.catalogue.editions or self._refusals() != self.catalogue.refused:
            self._pend(served)

    def _served(self) -> tuple[Edition, ...]:
        """What is to be served, the default first."""
        slot, new = self._new or (None, None)
        served = [new if one is slot else one.current for one in self._slots.values()]
        found = [edition for edition in served if edition]
        if not self._source.lasting:
            found.sort(key=lambda edition: edition.name)
        return tuple(found)

    def _pend(self, served: tuple[Edition, ...]) -> None:
        self._generations += 1
        self._pending = Catalogue(self._generations, served, self._refusals())

    def _refusals(self) -> tuple[Refusal, ...]:
        found = [each for slot in self._slots.values() for each in slot.refused.values()]
        found += [
            Refusal(slot.name, None, slot.problem) for slot in self._slots.values() if slot.problem
        ]
        found.sort(key=lambda each: (each.name, each.version or ""))
        more = len(found) - REFUSALS
        others = [Refusal("", None, f"{more:,} more are refused")] if more > 0 else []
        return tuple(found[:REFUSALS] + others)

    def _publish(self) -> None:
        """Make the pending catalogue the one that is served, in all workers at once."""
        assert self._pending
        before, self.catalogue, self._pending = self.catalogue, self._pending, None
        self._published[0] = self.catalogue.generation
        self._links.keep(self.catalogue.generation)
        numbers = {edition.number for edition in self.catalogue.editions}
        for edition in before.editions:
            if edition.number not in numbers:
                os.close(edition.number)
        if self._new:
            slot, edition = self._new
            slot.current, self._new = edition, None
        self._tell(before)

    def _tell(self, before: Catalogue) -> None:
        if not self._started:  # one after the other is added; who starts us names them all
            return
        old = {edition.name: edition for edition in before.editions}
        for edition in self.catalogue.editions:
            earlier = old.pop(edition.name, None)
            instead = f", instead of {earlier.version}" if earlier else ""
            if earlier is None or earlier.identity != edition.identity:
                self._say(f"{edition.name}: version {edition.version} serves now{instead}; "
                          f"precision {edition.precision}")  # fmt: skip
        for name in old:
            self._say(f"{name}: no longer served, its folder was taken away")

    def _give_up(self, reason: str) -> None:
        """A worker could not load the pending catalogue: refuse what is new in it."""
        assert self._pending
        new, self._pending, self._new = self._new, None, None
        self._links.keep(self.catalogue.generation)
        if new is None:
            return
        slot, edition = new
        os.close(edition.number)
        reason = f"a worker could not load it: {clean(reason)}"
        self._refuse(slot, Path(edition.path), Refusal(slot.name, edition.version, reason), True)
