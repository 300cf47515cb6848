"""One model: which of its versions is served, which were refused, and what to try next."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from service.versions.catalogue import Edition, Refusal
from service.versions.sources import Candidate, Offer, Stamp, stamp_of
from service.versions.trials import clean

PAUSES_S = (2.0, 10.0, 60.0)  # before each further try of what may not be the version's fault


@dataclass
class Slot:
    """One model: what is served of it, and what was found out about its versions."""

    key: str
    current: Edition | None = None
    problem: str | None = None  # why nothing of it can be tried
    judged: dict[Path, Stamp] = field(default_factory=dict)
    seen: dict[Path, Stamp] = field(default_factory=dict)
    refused: dict[Path, Refusal] = field(default_factory=dict)
    failures: dict[Path, int] = field(default_factory=dict)  # since it last changed
    due: dict[Path, float] = field(default_factory=dict)  # when to try again
    missing: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.current.name if self.current else clean(Path(self.key).name)[:64]

    def refuse(self, path: Path, refusal: Refusal, passing: bool) -> str:
        """Note why a version is not served, and say it.

        Args:
            passing: the reason may be the machine's, and pass: it is tried again a few times.
        """
        self.refused[path] = refusal
        count = self.failures.get(path, 0)
        self.failures[path] = count + 1
        again = passing and count < len(PAUSES_S)
        self.due[path] = time.monotonic() + PAUSES_S[count] if again else math.inf
        what = f"version {refusal.version}" if refusal.version else "what is there now"
        on = f"; version {self.current.version} serves on" if self.current else ""
        return f"{what} is refused: {refusal.reason}{on}"

    def next_candidate(self, offer: Offer, at_once: bool) -> tuple[Candidate, Stamp] | None:
        """What to try now, if anything.

        Args:
            at_once: also what was not looked at before, and may still be being copied.
        """
        self.problem = offer.problem
        known = {candidate.path for candidate in offer.candidates}
        for facts in (self.judged, self.seen, self.refused, self.failures, self.due):
            for path in set(facts) - known:
                facts.pop(path)
        for rank, candidate in enumerate(offer.candidates):
            stamp = stamp_of(candidate.path, rank)
            served = self.current is not None and self.current.path == str(candidate.path)
            if self.judged.get(candidate.path) != stamp:
                steady = self.seen.get(candidate.path) == stamp
                self.seen[candidate.path] = stamp
                self.failures.pop(candidate.path, None)
                first = at_once and candidate.path not in self.judged
                return (candidate, stamp) if steady or first else None
            if candidate.path in self.refused and time.monotonic() >= self.due[candidate.path]:
                return candidate, stamp
            if served:  # as it is now, or as it was when it was loaded
                return None
            if candidate.path not in self.refused:
                return candidate, stamp
        return None
