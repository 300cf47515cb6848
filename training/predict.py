"""Predict many photos with a saved model, into a file of JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from models.bundle import writing
from models.classifier import Classifier
from models.errors import ImageError, PhotosError, StorageError
from models.images import Limits
from training.photos.find import find_files
from training.photos.listing import Skipped, say_left_out, unreadable
from training.places.bundles import published
from training.places.reading import read_photo
from training.scale.engine import Row, Work, Workers, in_order
from training.scale.photo_rows import key_of, read_skipped, skipped_row, was_unread
from training.settings.config import limits_of
from training.settings.console import Stages


class Counts(NamedTuple):
    """How many files were predicted, could not be read, and were no photos from the start."""

    predicted: int
    failed: int
    skipped: list[Skipped]


class _Line(NamedTuple):
    """One line of the file; second, why the photo could not be read."""

    line: dict[str, Any]
    unread: Skipped | None


@dataclass(frozen=True)
class _Predictor(Work[Path, _Line]):
    """Answers one file as the service would."""

    classifier: Classifier
    limits: Limits
    top: int

    def __call__(self, path: Path) -> _Line:
        """Answer one file; a line of one that cannot be read says why."""
        line: dict[str, Any] = {"photo": str(path)}
        try:
            pixels = self.classifier.decode(read_photo(path, self.limits), self.limits)
        except (ImageError, OSError) as error:
            unread = unreadable(path, error)
            code = error.code if isinstance(error, ImageError) else "file"
            return _Line(line | {"error": {"code": code, "message": unread.reason}}, unread)
        model = self.classifier
        names = {"model": model.name, "version": model.manifest.version}
        return _Line(line | names | model.describe(model.read(pixels), self.top), None)

    @property
    def identity(self) -> str:
        """Name the bundle by its content, and what is said of a photo."""
        model = self.classifier
        return f"{model.name} {model.bundle.fingerprint} {model.precision.used} top {self.top}"

    def key(self, path: Path) -> bytes:
        """Return place, size and time of change."""
        return key_of(path)

    def row(self, result: _Line) -> Row:
        """Write the line as JSON, without the path."""
        line = {key: value for key, value in result.line.items() if key != "photo"}
        return {"line": json.dumps(line), **skipped_row(result.unread)}

    def result(self, path: Path, row: Row, fresh: bool) -> _Line:
        """Read the line."""
        line = {"photo": str(path)} | json.loads(row["line"])
        return _Line(line, read_skipped(path, row))

    def unread(self, result: _Line) -> bool:
        """Return whether the system could not read the file."""
        return was_unread(result.unread)


@published(file=True)
def predict_folder(
    classifier: Classifier, source: Path, out: Path, top: int, stages: Stages, workers: Workers
) -> Counts:
    """Predict every file below `source` (or the one file), a JSON line each, in name order.

    A line is what `POST /predict` answers, with `photo`; a file that cannot be read has
    `error` instead of `predictions`. The file appears at `out` when it is whole.

    Args:
        workers: threads, or a cluster, which needs a `PortableClassifier`.

    Raises:
        PhotosError: no file there.
        StorageError: `out` cannot be written.
        ClusterError: the cluster cannot do it.
    """
    files, skipped = find_files(source, out)
    if not files:
        raise PhotosError(f"{source} holds no files: give a folder of photos, or one photo")
    if out.is_dir():
        raise StorageError(f"cannot write {out}: it is a folder; name a file, such as {out}.jsonl")
    failed: list[Skipped] = []
    predictor = _Predictor(classifier, limits_of(classifier.manifest.training), top)
    half = out.with_name(out.name + ".part")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                half.open("w", encoding="utf-8") as file,
                stages.counted("predict", len(files), "photos") as advance,
            ):
                for line, unread in in_order(predictor, dict(enumerate(files)), workers):
                    failed += [unread] if unread else []
                    file.write(json.dumps(line) + "\n")
                    advance(1)
            half.replace(out)
        finally:
            half.unlink(missing_ok=True)
    skipped += failed
    say_left_out(stages, skipped, source)
    return Counts(len(files) - len(failed), len(failed), skipped)
