"""How many foreign photos a bundle calls unlike its training photos, and how few of its own.

    python -m benchmarks.unlike BUNDLE [FOREIGN ...] [--own PHOTOS]

FOREIGN are folders of photos of something else, at any depth; noise, flat colours, pages of text
and handwritten digits are drawn. PHOTOS are what the bundle was trained on: of them the test
side is asked. What familiarity costs is measured beside: the same photo answered in turns with
it and by the graph without it.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.foreign import KINDS
from models.building.attach import keep_outputs
from models.bundle import Bundle
from models.classifier import Classifier, softmax
from models.errors import ImageError
from models.runtime import Graph
from training.evaluation.intervals import wilson
from training.photos.find import find_photos

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
MOST = 400  # photos of a folder, drawn evenly
WORKERS = 2
RUNS = 500  # of timing, the two ways in turn


def main() -> None:
    """Ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("foreign", type=Path, nargs="*")
    parser.add_argument("--own", type=Path, help="what it was trained on")
    options = parser.parse_args()
    classifier = Classifier(Bundle(options.bundle))
    if classifier.familiarity is None:
        parser.error(f"{options.bundle} has no threshold for familiarity")
    print(f"{'pictures':<28}{'photos':>8}{'unlike':>9}{'95 % interval':>20}")
    if options.own:
        listing = find_photos(options.own).photos
        own = [photo.path for photo in listing if photo.side == "test"]
        _print("its own test photos", unlike(classifier, read_all(own)))
    everything: list[bool] = []
    for folder in options.foreign:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
        step = max(1, -(-len(found) // MOST))
        everything += _print(
            "/".join(folder.parts[-2:]), unlike(classifier, read_all(found[::step]))
        )
    for name, draw in KINDS.items():
        drawn = [as_png(picture) for picture in draw(np.random.default_rng(0))]
        everything += _print(name, unlike(classifier, drawn))
    _print("all foreign pictures", everything)
    without, cost = cost_ms(classifier)
    print(f"familiarity takes {cost:.3f} ms, {cost / without:.1%} of {without:.2f} ms a prediction")


def read_all(paths: Sequence[Path]) -> list[bytes]:
    """Return the content of each file."""
    return [path.read_bytes() for path in paths]


def as_png(picture: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def unlike(classifier: Classifier, encoded: Sequence[bytes]) -> list[bool]:
    """Say of each readable picture whether it is called unlike the training photos."""

    def ask(data: bytes) -> bool | None:
        try:
            reading = classifier.read(classifier.decode(data))
        except ImageError:
            return None
        return not classifier.describe(reading, top=1)["in_distribution"]

    with ThreadPoolExecutor(WORKERS) as pool:
        return [answer for answer in pool.map(ask, encoded) if answer is not None]


def cost_ms(classifier: Classifier) -> tuple[float, float]:
    """Measure a prediction without familiarity, and what familiarity adds to it, in ms.

    The other is the graph as it would be without: `features` feed the head and cost nothing.
    """
    plain = Graph(keep_outputs(classifier.bundle.read("predict.onnx"), ["logits", "features"]))
    size = classifier.framing.size
    photo = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    without, added = [], []
    for _ in range(RUNS):
        plain_ms = _time_ms(lambda: softmax(plain.run(photo[None], ["logits"])[0]))
        without.append(plain_ms)
        added.append(_time_ms(lambda: classifier.read(photo)) - plain_ms)
    return statistics.median(without), statistics.median(added)


def _time_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _print(name: str, flagged: list[bool]) -> list[bool]:
    """Print a row, and return what it was given."""
    if flagged:
        share = sum(flagged) / len(flagged)
        low, high = wilson(sum(flagged), len(flagged))
        print(f"{name:<28}{len(flagged):>8}{share:>9.1%}{f'{low:.1%} to {high:.1%}':>20}")
    return flagged


if __name__ == "__main__":
    main()
