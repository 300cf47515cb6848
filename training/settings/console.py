"""Progress on standard error while work goes on, and time by stage.

Seconds are those of the clock; core seconds are what all threads of the process computed, and
processes it started and waited for. A stage that comes a second time adds to the first.

Standard output carries results only, so that it can be piped.
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from training.settings.printable import printable

Advance = Callable[[int], None]


class Stages:
    """The stages of a run, with the seconds and the core seconds each took."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a stage that has no steps to count; what it yields shows what goes on."""
        started = _clocks()
        with self.console.status(f"{name} ...") as status:
            yield lambda doing: status.update(f"{name}: {escape(printable(doing))}")
        self._finish(name, started)

    @contextmanager
    def counted(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """Time a stage of `total` steps, with a bar, steps a second and time left."""
        started = _clocks()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(unit),
            TimeRemainingColumn(),
        )
        silent = not self.console.is_terminal  # a log gets the summary line only
        with Progress(*columns, console=self.console, transient=True, disable=silent) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done: progress.advance(task, done)
        self._finish(name, started)

    def say(self, line: str) -> None:
        """Print a line for the person who waits; what cannot be seen becomes escapes."""
        self.console.print(printable(line), markup=False, soft_wrap=True)

    def _finish(self, name: str, started: tuple[float, float]) -> None:
        taken = [now - then for now, then in zip(_clocks(), started, strict=True)]
        for kept, new in zip((self.seconds, self.cpu_seconds), taken, strict=True):
            kept[name] = kept.get(name, 0.0) + new
        self.say(f"{name}: {taken[0]:.1f} s")


def _clocks() -> tuple[float, float]:
    """Read seconds by the clock, and seconds that cores have worked for this process."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)


class _Speed(ProgressColumn):
    """Steps a second."""

    def __init__(self, unit: str):
        self.unit = unit
        super().__init__()

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} {self.unit}/s" if speed else "")
