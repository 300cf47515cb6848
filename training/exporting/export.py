"""Write a bundle in the format of another runtime; nobody sees it before it is proven there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.bundle import Bundle, new_folder, writing
from models.classifier import Classifier
from models.errors import StorageError
from training.exporting.config import ExportConfig
from training.exporting.description import FACTS, describe, write_example, write_proof
from training.exporting.formats import WRITTEN
from training.exporting.proof import prove
from training.exporting.proof_photos import gather_photos
from training.exporting.source import Source
from training.photos.find import refuse_among_photos
from training.photos.listing import Skipped, say_left_out
from training.settings.console import Stages


@dataclass(frozen=True)
class Exported:
    """What was written, and what came of the proof."""

    facts: dict[str, Any]  # as export.json holds them
    skipped: list[Skipped]  # photos that could not be read

    @property
    def in_words(self) -> str:
        """Say in a line what the proof came to."""
        proof = self.facts["proof"]
        return (
            f"{self.facts['size_bytes'] / 1e6:.1f} MB, same top-1 on {proof['same_top1']} of "
            f"{proof['photos']} {proof['of']}, largest difference of a probability "
            f"{proof['largest_difference']:.2g}, {proof['milliseconds']:.1f} ms a photo"
        )


def export_bundle(path: Path, out: Path, config: ExportConfig, stages: Stages) -> Exported:
    """Export the bundle at `path` to the folder `out`.

    Raises:
        BundleError: it was altered, or its Keras network does not load.
        FormatError: the export does not run, or answers otherwise; nothing is written then.
        PhotosError: the photos to prove it on cannot be read.
        StorageError: `out` is taken, or cannot be written.
    """
    _check_place(out, config.replace)
    if config.photos:
        refuse_among_photos(out, config.photos, "--out")
    form = WRITTEN[config.format]
    bundle = Bundle(path)
    bundle.verify()
    classifier = Classifier(bundle)
    with stages.stage("read photos"):
        photos = gather_photos(classifier, config.photos, out, config.int8)
    if config.photos:
        say_left_out(stages, photos.skipped, config.photos)
    else:
        found = f"{len(photos.pixels)} {photos.origin}"
        stages.say(f"proven on {found} only: give --photos for a proof on photos of your own")
    source = Source(bundle, photos.calibration)
    with new_folder(out) as folder:
        with stages.stage(f"write {form.title}"):
            file = form.write(source, folder)
        written = [folder / file, *(folder / file).rglob("*")]
        size_bytes = sum(one.stat().st_size for one in written if one.is_file())
        facts = describe(source, config.format, file, size_bytes)
        write_example(folder, facts)
        with stages.stage(f"run it with {form.pinned}"):
            proof = prove(folder, classifier, photos)
        return Exported(write_proof(folder, facts, proof), photos.skipped)


def _check_place(out: Path, replace: bool) -> None:
    """See that an export could be written at `out`. Raises StorageError."""
    with writing(out):
        if out.is_symlink() or out.is_file():
            raise StorageError(f"{out} exists and is no folder: choose another --out")
        if out.is_dir() and any(out.iterdir()):
            if not (out / FACTS).is_file():
                raise StorageError(f"{out} exists and is not an export: choose another --out")
            if not replace:
                raise StorageError(
                    f"{out} holds an export already: give --replace, or choose another --out"
                )
        out.parent.mkdir(parents=True, exist_ok=True)
