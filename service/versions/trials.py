"""One bundle put to the test in a process of its own, as its parent sees it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from models.bundles.nameless import new_file
from models.terms import Device, Precision, Terms
from service.versions.catalogue import Edition, Refusal
from service.versions.sources import Candidate, Stamp

TRIAL_S = 60.0  # for a bundle to be read, loaded and tried
ROOT = Path(__file__).parents[2]  # where the rooms lie
_MOST_BYTES = 100_000  # of a verdict


class Trial:
    """A running process of `models/trial.py`."""

    def __init__(self, candidate: Candidate, stamp: Stamp, terms: Terms):
        """Start it. Raises OSError: no process or descriptor is left."""
        self.candidate, self.stamp = candidate, stamp
        self._number = new_file()
        self._ends = time.monotonic() + TRIAL_S
        self._verdict = b""
        self._late = False
        self.passing = False  # whether it may end otherwise another time
        words = [str(candidate.path), str(self._number), candidate.name or ""]
        words += [candidate.version or "", *terms]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "models.trial", *words],
                cwd=ROOT,
                pass_fds=(self._number,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        except OSError:
            self.discard()
            raise
        assert self._process.stdout
        self._answer = self._process.stdout.fileno()
        os.set_blocking(self._answer, False)

    def done(self) -> bool:
        """Whether it has ended, by itself or because its time was up."""
        try:
            part = os.read(self._answer, _MOST_BYTES)
        except BlockingIOError:  # only then: a verdict may have waited while nobody looked
            if not self._late and time.monotonic() > self._ends:
                self._late = True
                self._process.kill()
            return False
        self._verdict += part
        if part and len(self._verdict) < _MOST_BYTES:
            return False
        self._process.kill()
        self._process.wait()  # it has closed its output: nothing is left to wait for
        return True

    def edition(self) -> Edition | Refusal:
        """The verdict, once it is done."""
        candidate = self.candidate
        found: dict[str, Any]
        try:
            found = json.loads(self._verdict)
        except ValueError:
            found = {"reason": self._why_it_ended(), "passing": True}
        self._close()
        if "reason" in found:
            self.passing = bool(found.get("passing"))
            reason = clean(str(found["reason"]).replace(str(candidate.path), candidate.path.name))
            version = candidate.version or found.get("version")
            return Refusal(candidate.name or candidate.path.name, version, reason)
        return Edition(
            found["name"],
            found["version"],
            str(candidate.path),
            found["fingerprint"],
            self._number,
            Precision(*found["precision"]),
            Device(*found["device"]),
        )

    def _why_it_ended(self) -> str:
        if self._late:
            return f"to read, load and try it took more than {TRIAL_S:g} s"
        if self._process.returncode == -signal.SIGKILL:
            return "the process that tried it was killed: perhaps memory is short"
        return "it crashed the process that tried it"

    def end(self) -> None:
        """Stop it, whatever it has found out, and give the copy up."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def discard(self) -> None:
        """Give the copy up."""
        os.close(self._number)

    def forget(self) -> None:
        """Close what is open, as a process must that inherited it."""
        self._close()
        os.close(self._number)

    def _close(self) -> None:
        if self._process.stdout:
            self._process.stdout.close()


def clean(text: str) -> str:
    """Words for a log and for an answer: one line, printable, no paths, at most 300 characters."""
    line = " ".join(word for word in text.split() if not word.startswith("/"))
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:300]
