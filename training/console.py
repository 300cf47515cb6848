"""What a person sees while work goes on: progress on standard error, time by stage.

Standard output carries results only, so that it can be piped.
"""

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

Advance = Callable[[int], None]


class Stages:
    """The stages of a run, with the seconds each took."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a stage that has no steps to count; it may be told what goes on."""
        started = time.perf_counter()
        with self.console.status(f"{name} ...") as status:
            yield lambda doing: status.update(f"{name}: {escape(doing)}")
        self._finish(name, started)

    @contextmanager
    def counted(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """Time a stage of `total` steps, with a bar, steps a second and time left."""
        started = time.perf_counter()
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
        """A line for the person who waits."""
        self.console.print(line, markup=False, soft_wrap=True)

    def _finish(self, name: str, started: float) -> None:
        self.seconds[name] = time.perf_counter() - started
        self.say(f"{name}: {self.seconds[name]:.1f} s")


class _Speed(ProgressColumn):
    """Steps a second."""

    def __init__(self, unit: str):
        self.unit = unit
        super().__init__()

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} {self.unit}/s" if speed else "")
