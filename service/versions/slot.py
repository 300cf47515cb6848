"""One model: which of its versions is served, which were refused, and what to try next."""

from dataclasses import dataclass, field
from pathlib import Path

from service.versions.catalogue import Edition, Refusal
from service.versions.sources import Candidate, Offer, Stamp, stamp_of
from service.versions.trials import clean


@dataclass
class Slot:
    """One model: what is served of it, and what was found out about its versions."""

    key: str
    current: Edition | None = None
    problem: str | None = None  # why nothing of it can be tried
    judged: dict[Path, Stamp] = field(default_factory=dict)
    seen: dict[Path, Stamp] = field(default_factory=dict)
    refused: dict[Path, Refusal] = field(default_factory=dict)
    missing: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.current.name if self.current else clean(Path(self.key).name)[:64]

    def next_candidate(self, offer: Offer, at_once: bool) -> tuple[Candidate, Stamp] | None:
        """What to try now, if anything.

        Args:
            at_once: also what was not looked at before, and may still be being copied.
        """
        self.problem = offer.problem
        known = {candidate.path for candidate in offer.candidates}
        for facts in (self.judged, self.seen, self.refused):
            for path in set(facts) - known:
                facts.pop(path)
        for candidate in offer.candidates:
            stamp = stamp_of(candidate.path)
            served = self.current is not None and self.current.path == str(candidate.path)
            if self.judged.get(candidate.path) != stamp:
                steady = self.seen.get(candidate.path) == stamp
                self.seen[candidate.path] = stamp
                first = at_once and candidate.path not in self.judged
                return (candidate, stamp) if steady or first else None
            if served:  # as it is now, or as it was when it was loaded
                return None
            if candidate.path not in self.refused:
                return candidate, stamp
        return None
