"""What is known of one request by now: routes note it, the front and the log read it.

It travels in the WSGI environment, from the event loop to the thread that answers and back.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import request

RECORD = "layerscope.record"  # in the WSGI environment
STAGES = ("read", "wait", "decode", "network", "encode", "write")


@dataclass
class Record:
    """One request."""

    route: str | None = None  # its template, such as /models/<name>/predict
    model: str | None = None
    version: str | None = None
    photos: int = 0
    received: int = 0  # bytes of the body
    sent: int = 0  # bytes of the answer's body
    times: dict[str, float] = field(default_factory=dict)  # of STAGES, in seconds

    def spend(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.times[stage] = self.times.get(stage, 0.0) + seconds


def record_in(environ: dict[str, Any]) -> Record:
    """The record of the request with this WSGI environment."""
    found = environ.get(RECORD)
    if found is None:
        found = environ[RECORD] = Record()
    return found


def record() -> Record:
    """The record of the request that Flask is handling."""
    return record_in(request.environ)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the block's time as that of a stage; what a stage inside it counts is left out."""
    known = record()
    began, counted = time.perf_counter(), sum(known.times.values())
    try:
        yield
    finally:
        inside = sum(known.times.values()) - counted
        known.spend(name, time.perf_counter() - began - inside)
