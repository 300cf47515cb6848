"""Predict many photos with a saved model, into a file of JSON lines."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from models.bundle import writing
from models.classifier import Classifier
from models.cores import usable_cores
from models.errors import ImageError, PhotosError, StorageError
from models.images import Limits
from training.photos.find import find_files
from training.photos.listing import Skipped, say_left_out, unreadable
from training.places.bundles import published
from training.places.reading import read_photo
from training.settings.config import limits_of
from training.settings.console import Stages

CHUNK = 256  # photos in flight


class Counts(NamedTuple):
    """How many files were predicted, could not be read, and were no photos from the start."""

    predicted: int
    failed: int
    skipped: list[Skipped]


@published(file=True)
def predict_folder(
    classifier: Classifier, source: Path, out: Path, top: int, stages: Stages
) -> Counts:
    """Predict every file below `source` (or the one file), a JSON line each, in name order.

    A line is what `POST /predict` answers, with `photo`; a file that cannot be read has
    `error` instead of `predictions`. The file appears at `out` when it is whole.

    Raises:
        PhotosError: no file there.
        StorageError: `out` cannot be written.
    """
    files, skipped = find_files(source, out)
    if not files:
        raise PhotosError(f"{source} holds no files: give a folder of photos, or one photo")
    if out.is_dir():
        raise StorageError(f"cannot write {out}: it is a folder; name a file, such as {out}.jsonl")
    failed: list[Skipped] = []
    answer = partial(_answer, classifier, limits_of(classifier.manifest.training), top)
    half = out.with_name(out.name + ".part")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                half.open("w", encoding="utf-8") as file,
                stages.counted("predict", len(files), "photos") as advance,
                ThreadPoolExecutor(usable_cores()) as pool,
            ):
                for chunk in _chunks(files):
                    for line, unread in pool.map(answer, chunk):
                        failed += [unread] if unread else []
                        file.write(json.dumps(line) + "\n")
                        advance(1)
            half.replace(out)
        finally:
            half.unlink(missing_ok=True)
    skipped += failed
    say_left_out(stages, skipped, source)
    return Counts(len(files) - len(failed), len(failed), skipped)


def _chunks(files: list[Path]) -> Iterator[list[Path]]:
    rest = iter(files)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _answer(
    classifier: Classifier, limits: Limits, top: int, path: Path
) -> tuple[dict[str, Any], Skipped | None]:
    """Answer one file as the service would; second, why it could not be read."""
    line: dict[str, Any] = {"photo": str(path)}
    try:
        pixels = classifier.decode(read_photo(path, limits), limits)
    except (ImageError, OSError) as error:
        unread = unreadable(path, error)
        code = error.code if isinstance(error, ImageError) else "file"
        return line | {"error": {"code": code, "message": unread.reason}}, unread
    names = {"model": classifier.name, "version": classifier.manifest.version}
    return line | names | classifier.describe(classifier.read(pixels), top), None
