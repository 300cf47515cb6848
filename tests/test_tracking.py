"""Trackers: what they record arrives where others read it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from models.errors import SettingError, StorageError
from tests.making import small_disk
from training.optimisation.epochs import Epoch
from training.optimisation.tracking import (
    MlflowTracker,
    TensorBoardTracker,
    Trackers,
    observer,
    tracking,
)

EPOCHS = [Epoch(1.5, 0.25, 1.25, 0.5, 1e-3, 1.125), Epoch(0.5, 0.75, 0.625, 0.875, 5e-4, 0.5)]


def points(folder):
    """(name, step, value) of every scalar, read by TensorFlow, which checks each record's CRC."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    (file,) = folder.rglob("events.out.tfevents.*")
    found = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        event = event_pb2.Event.FromString(record)
        found += [(value.tag, event.step, value) for value in event.summary.value]
    return found


class FakeMlflow:
    """What is called of the package `mlflow`, written down."""

    def __init__(self, refuses: bool = False):
        self.calls: list[tuple[object, ...]] = []
        self.refuses = refuses

    def start_run(self, run_name: str) -> SimpleNamespace:
        if self.refuses:
            raise ConnectionError("nobody listens\nthere")
        self.calls.append(("start_run", run_name))
        return SimpleNamespace()

    def __getattr__(self, name):
        return lambda *args, **named: self.calls.append((name, *args, *named.values()))


@pytest.fixture
def mlflow(monkeypatch):
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    return fake


def test_tensorboard_finds_every_epoch_of_every_stage(tmp_path):
    with tracking("flowers", tensorboard=tmp_path) as tracker:
        tracker.settings({"backbone": "tiny", "note": "a|b"})
        observe = observer(tracker, "head")
        for epoch in EPOCHS:
            observe(epoch)
        tracker.result({"accuracy": 0.875})
    found = points(tmp_path / "flowers")
    numbers = [(name, step, value.simple_value) for name, step, value in found]
    assert ("head/loss", 1, 1.5) in numbers
    assert ("head/loss", 2, 0.5) in numbers
    assert ("head/validation_accuracy", 2, 0.875) in numbers
    assert ("result/accuracy", 0, 0.875) in numbers
    assert sum(name.startswith("head/") for name, *_ in numbers) == 2 * 6
    (text,) = [value for name, _, value in found if name.startswith("settings")]
    assert b"| backbone | tiny |" in text.tensor.string_val[0]
    assert b"| note | a\\|b |" in text.tensor.string_val[0]


def test_an_epoch_is_on_disk_before_the_run_ends(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.epoch(1, {"head/loss": 0.5})
    assert [name for name, *_ in points(tmp_path)] == ["head/loss"]
    tracker.close()


def test_event_files_are_written_without_tensorflow(tmp_path):

    program = (
        "import sys; from pathlib import Path\n"
        "from training.optimisation.tracking import tracking\n"
        "with tracking('a', tensorboard=Path(sys.argv[1])) as tracker:\n"
        "    tracker.epoch(1, {'loss': 0.5})\n"
        "print('tensorflow' in sys.modules, 'torch' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"] * 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"), tracking("a", tensorboard=tmp_path / "file"):
        pass


def test_mlflow_gets_settings_epochs_and_the_result(mlflow):
    with tracking("flowers", mlflow="http://example.invalid") as tracker:
        tracker.settings({"layers": ["x"], "note": "n" * 600})
        observer(tracker, "blocks")(EPOCHS[0])
        tracker.result({"accuracy": 0.9})
    names = [call[0] for call in mlflow.calls]
    assert names == [
        *("set_tracking_uri", "start_run", "log_params", "log_metrics", "log_metrics", "end_run"),
    ]
    assert mlflow.calls[2][1] == {"layers": "['x']", "note": "n" * 500}  # its longest value
    metrics = {f"blocks/{name}": value for name, value in vars(EPOCHS[0]).items()}
    assert mlflow.calls[3] == ("log_metrics", metrics, 1)
    assert mlflow.calls[-1] == ("end_run", "FINISHED")


def failing_run(folder):
    with tracking("flowers", mlflow="x", tensorboard=folder) as tracker:
        tracker.epoch(1, {"head/loss": 0.5})
        raise RuntimeError


def test_a_run_that_fails_is_marked_so(mlflow, tmp_path):
    with pytest.raises(RuntimeError):
        failing_run(tmp_path)
    assert mlflow.calls[-1] == ("end_run", "FAILED")
    assert [name for name, *_ in points(tmp_path)] == ["head/loss"]  # the other has it too


# Python tries once more to write the file's buffer when it is thrown away.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_ends_the_run_with_a_reason_and_does_not_hang(tmp_path):
    with small_disk(tmp_path / "disk", size_kib=64) as place:
        tracker = TensorBoardTracker(place)
        with pytest.raises(StorageError, match="no space left"):
            tracker.settings({"note": "n" * 100_000})


def test_without_mlflow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SettingError, match="pip install mlflow-skinny"):
        MlflowTracker("http://example.invalid", "flowers")


def test_a_server_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", FakeMlflow(refuses=True))
    with pytest.raises(SettingError, match=r"--mlflow http://a: .* nobody listens there"):
        MlflowTracker("http://a", "flowers")


def test_a_server_that_is_lost_on_the_way_does_not_end_the_run(mlflow):
    def gone(*args, **named):
        raise ConnectionError("reset by peer")

    said: list[str] = []
    with tracking("flowers", mlflow="x", say=said.append) as tracker:
        mlflow.log_metrics = gone
        tracker.epoch(1, {"head/loss": 0.5})
        tracker.epoch(2, {"head/loss": 0.4})
    assert said == ["MLflow took no more: reset by peer; the run goes on without it"]


def test_by_default_nothing_is_tracked():
    with tracking("flowers") as tracker:
        assert isinstance(tracker, Trackers)
        assert not tracker.trackers
        tracker.settings({})
        tracker.epoch(1, {})
        tracker.result({})
