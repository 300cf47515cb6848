"""Record a run while it goes on: in TensorBoard's files, in MLflow, in both or in none.

The one interface is `Tracker`. TensorBoard's event files are written by tensorboardX, which
needs no TensorFlow; MLflow is an extra that is imported only when it is needed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from models.bundle import writing
from models.errors import SettingError
from training.optimisation.epochs import Epoch

MLFLOW_MISSING = (
    "--mlflow needs a package that is not installed: pip install mlflow-skinny "
    "(enough to send a run to a server; mlflow itself brings the server too)"
)
LONGEST_VALUE = 500  # characters of a setting that MLflow takes


class Tracker(Protocol):
    """Records a run. Numbers go under slash-separated names, such as `head/loss`."""

    def settings(self, values: Mapping[str, Any]) -> None:
        """Record the settings of the run, once, before it begins."""

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Record the numbers of an epoch, counted from 1."""

    def result(self, values: Mapping[str, float]) -> None:
        """Record the numbers of the whole run, once, when it has ended well."""

    def close(self, failed: bool = False) -> None:
        """End the record."""


class OnceTracker:
    """Records each epoch once, though whoever goes on from a state tells those before it again."""

    def __init__(self, tracker: Tracker):
        self._tracker, self._last = tracker, 0
        self.settings, self.result, self.close = tracker.settings, tracker.result, tracker.close

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Record the numbers of an epoch that is new."""
        if number > self._last:
            self._last = number
            self._tracker.epoch(number, values)


class TensorBoardTracker:
    """Event files in a folder; `tensorboard --logdir FOLDER` shows them.

    Each event is written here and now: tensorboardX's own SummaryWriter hands it to a thread,
    whose end on a full disk would block the run for good, and whose flush does not wait.
    """

    def __init__(self, folder: Path):
        """Make the folder and begin a file. Raises StorageError."""
        from tensorboardX.event_file_writer import EventsWriter

        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.writer = EventsWriter(str(folder / "events"))

    def settings(self, values: Mapping[str, Any]) -> None:
        """Write a table, shown under the tab Text."""
        from tensorboardX.summary import text

        lines = [f"| {name} | {_cell(value)} |" for name, value in values.items()]
        table = "\n".join(["| setting | value |", "|---|---|", *lines])
        self._write([text("settings", table)], 0)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Write a point of each curve, on disk at once: somebody is watching."""
        from tensorboardX.summary import scalar

        self._write([scalar(name, value) for name, value in values.items()], number)

    def result(self, values: Mapping[str, float]) -> None:
        """Write curves of one point, under `result/`."""
        self.epoch(0, {f"result/{name}": value for name, value in values.items()})

    def close(self, failed: bool = False) -> None:
        """Write what is left."""
        with writing(self.folder):
            self.writer.close()

    def _write(self, summaries: Sequence[Any], step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with writing(self.folder):
            for summary in summaries:
                self.writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            self.writer.flush()


class MlflowTracker:
    """A run at an MLflow server, or in a database: whatever the address names.

    A server that is lost on the way does not end the run: a line says so, and no more is sent.
    """

    def __init__(self, address: str, name: str, say: Callable[[str], None] = lambda line: None):
        """Begin a run. Raises SettingError: no MLflow is installed, or none at the address."""
        try:
            import mlflow
        except ImportError as error:
            raise SettingError(MLFLOW_MISSING) from error
        self.mlflow, self.say, self.lost = mlflow, say, False
        try:
            mlflow.set_tracking_uri(address)
            mlflow.start_run(run_name=name)
        except Exception as error:  # MLflow's own, requests', the database's: no common base
            reason = f"no run could be begun: {_line(error)}"
            raise SettingError(f"--mlflow {address}: {reason}") from error

    def settings(self, values: Mapping[str, Any]) -> None:
        """Send the parameters of the run."""
        cut = {name: str(value)[:LONGEST_VALUE] for name, value in values.items()}
        self._send(lambda: self.mlflow.log_params(cut))

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Send metrics at a step."""
        self._send(lambda: self.mlflow.log_metrics(dict(values), step=number))

    def result(self, values: Mapping[str, float]) -> None:
        """Send metrics without a step."""
        self._send(lambda: self.mlflow.log_metrics(dict(values)))

    def close(self, failed: bool = False) -> None:
        """Mark the run as finished, or failed."""
        self._send(lambda: self.mlflow.end_run("FAILED" if failed else "FINISHED"))

    def _send(self, call: Callable[[], object]) -> None:
        if self.lost:
            return
        try:
            call()
        except Exception as error:  # likewise
            self.lost = True
            self.say(f"MLflow took no more: {_line(error)}; the run goes on without it")


class Trackers:
    """Several trackers as one, or none: each records everything."""

    def __init__(self, trackers: Sequence[Tracker] = ()):
        self.trackers = trackers

    def settings(self, values: Mapping[str, Any]) -> None:
        for tracker in self.trackers:
            tracker.settings(values)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.epoch(number, values)

    def result(self, values: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.result(values)

    def close(self, failed: bool = False) -> None:
        with ExitStack() as stack:  # one that cannot be closed does not keep the others open
            for tracker in self.trackers:
                stack.callback(tracker.close, failed)


@contextmanager
def tracking(
    name: str,
    tensorboard: Path | None = None,
    mlflow: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Tracker]:
    """Open the trackers of a run called `name`; they are closed when the block ends, well or not.

    Args:
        tensorboard: the folder for event files; mlflow: the address of a server. Neither: the
            run is not tracked.
        say: values, in a line, when a server is lost on the way.

    Raises:
        SettingError: MLflow is not installed or does not answer. StorageError: no such folder.
    """
    trackers: list[Tracker] = []
    if mlflow:
        trackers.append(MlflowTracker(mlflow, name, say))
    if tensorboard:
        trackers.append(TensorBoardTracker(tensorboard / name))
    tracker = Trackers(trackers)
    try:
        yield tracker
    except BaseException:
        tracker.close(failed=True)
        raise
    tracker.close()


def observer(tracker: Tracker, stage: str) -> Callable[[Epoch], None]:
    """Make what `train` calls after each epoch of a stage, such as `head`."""
    number = 0

    def observe(epoch: Epoch) -> None:
        nonlocal number
        number += 1
        tracker.epoch(
            number,
            {f"{stage}/{key}": value for key, value in vars(epoch).items() if value is not None},
        )

    return observe


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
