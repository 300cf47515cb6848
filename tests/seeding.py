"""A folder of real photos with every defect the doctor should find, and where each one is."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.photos.find import find_photos
from training.photos.listing import Photo


@dataclass
class Seeded:
    """A folder, and the paths of what was done to it."""

    folder: Path
    corrupt: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    near: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))  # by change
    flipped: list[Path] = field(default_factory=list)
    plain: list[Path] = field(default_factory=list)
    tiny: list[Path] = field(default_factory=list)
    mistyped: list[Path] = field(default_factory=list)


def seed_defects(source: Path, folder: Path, flips: float = 0.05, each: int = 20) -> Seeded:
    """Links to the photos of `source` (class folders below sides), and defects among them.

    Args:
        flips: share of all photos that get another label.
        each: number of defects of each kind.
    """
    rng = np.random.default_rng(0)
    photos = find_photos(source).photos
    labels = sorted({photo.label for photo in photos})
    seeded = Seeded(folder)
    flipped = set(rng.choice(len(photos), round(flips * len(photos)), replace=False).tolist())
    for index, photo in enumerate(photos):
        label = photo.label
        if index in flipped:
            label = str(rng.choice([other for other in labels if other != label]))
        place = _place(folder, photo, label)
        place.symlink_to(photo.path.resolve())
        if index in flipped:
            seeded.flipped.append(place)
    clear = [photo for index, photo in enumerate(photos) if index not in flipped]
    order = iter(rng.permutation(len(clear)).tolist())

    def take(word: str) -> Iterator[tuple[Photo, Path]]:
        for number in range(each):
            photo = clear[next(order)]
            yield photo, _place(folder, photo, photo.label, f"{word}-{number}")

    junk = (b"", b"<!doctype html>", rng.bytes(3000))
    for number, (photo, place) in enumerate(take("corrupt")):
        content = photo.path.read_bytes()
        cut = content[: int(len(content) * rng.uniform(0.05, 0.95))]
        place.write_bytes(cut if number % 4 == 0 else junk[number % 3])
        seeded.corrupt.append(place)
    for number, (photo, place) in enumerate(take("copy")):
        side = ("train", "validation", "test")[number % 3]
        label = photo.label if number % 4 else labels[number % len(labels)]
        place = _place(folder, Photo(photo.path, label, side), label, place.stem)
        shutil.copyfile(photo.path, place)
        seeded.copies.append(place)
    for name in ("saved again", "resized", "cropped", "mirrored"):
        for number, (photo, place) in enumerate(take(name.replace(" ", "-"))):
            side = ("train", "validation", "test")[number % 3]
            place = _place(folder, Photo(photo.path, photo.label, side), photo.label, place.stem)
            with Image.open(photo.path) as image:
                _change(name, image.convert("RGB"), rng).save(place, quality=60)
            seeded.near[name].append(place)
    for _, place in take("plain"):
        Image.new("RGB", (300, 400), tuple(rng.integers(0, 256, 3).tolist())).save(place)
        seeded.plain.append(place)
    for photo, place in take("tiny"):
        with Image.open(photo.path) as image:
            image.convert("RGB").resize((60, 80)).save(place, quality=90)
        seeded.tiny.append(place)
    for photo, place in take("mistyped"):
        with Image.open(photo.path) as image:
            image.convert("RGB").crop((9, 9, image.width, image.height)).save(place, "PNG")
        seeded.mistyped.append(place)
    return seeded


def _place(folder: Path, photo: Photo, label: str, stem: str = "") -> Path:
    place = folder / (photo.side or "train") / label / f"{stem or photo.path.stem}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _change(name: str, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The photo, changed as people change photos."""
    width, height = image.size
    if name == "resized":
        scale = rng.uniform(0.5, 1.5)
        return image.resize((round(width * scale), round(height * scale)))
    if name == "cropped":  # by up to 5 % on each side
        left, top, right, bottom = rng.uniform(0, 0.05, 4) * (width, height, width, height)
        return image.crop((int(left), int(top), int(width - right), int(height - bottom)))
    return ImageOps.mirror(image) if name == "mirrored" else image
