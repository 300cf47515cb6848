"""Folders or a CSV -> a list of labelled photos, and what was skipped and why.

Three layouts: class folders; `train/ validation/ test/`, each with class folders; or a CSV
with the columns image,label and perhaps split and group. Nothing is decoded here.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import PhotosError

SIDES = ("train", "validation", "test")
_SIDE_NAMES = {"train": "train", "training": "train", "validation": "validation",
               "val": "validation", "valid": "validation", "test": "test"}  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """A file and what is in it."""

    path: Path
    label: str
    side: str | None = None  # train, validation or test, where its owner said so
    group: str = ""  # photos of one group stand on one side; empty: of none


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why."""

    path: Path
    reason: str
    asked: bool = False  # its owner wants it left out


@dataclass
class Listing:
    """What was found, in an order that depends on names only."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def find_photos(source: Path) -> Listing:
    """Every labelled photo of `source`.

    Raises:
        PhotosError: no such place, a CSV without its columns, or no photo at all.
    """
    if source.is_file():
        listing = _from_csv(source)
    elif source.is_dir():
        listing = _from_folders(source)
    else:
        raise PhotosError(f"{source} does not exist: give a folder of class folders, or a CSV")
    if not listing.photos and source.is_file():
        reason = listing.skipped[0].reason if listing.skipped else "it has no rows"
        raise PhotosError(f"{source} names no photo that is there: {reason}")
    if not listing.photos:
        raise PhotosError(
            f"{source} holds no photos in class folders: make one folder for each class, "
            f"such as {source.name or 'photos'}/cat/ and {source.name or 'photos'}/dog/"
        )
    for label in {photo.label for photo in listing.photos}:
        if not label.isprintable():
            raise PhotosError(
                f"class {label!r} has a name that is no plain text: rename its folder"
            )
    return listing


def _from_folders(source: Path) -> Listing:
    """Class folders, under sides or not."""
    listing = Listing()
    folders = [path for path in _visible(source) if path.is_dir()]
    sides = {path: _SIDE_NAMES.get(path.name.lower()) for path in folders}
    if any(side == "train" for side in sides.values()):
        for folder, side in sides.items():
            if side is None:
                listing.skipped.append(Skipped(folder, "a folder beside train/ that is no side"))
            else:
                _add_classes(listing, folder, side)
    else:
        _add_classes(listing, source, None)
    return listing


def _add_classes(listing: Listing, folder: Path, side: str | None) -> None:
    """Every file below each class folder of `folder`."""
    for path in _visible(folder):
        if not path.is_dir():
            if not (side is None and path.suffix.lower() in (".md", ".txt")):
                listing.skipped.append(Skipped(path, "not in a class folder"))
            continue
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        files = [file for file in files if not hidden(file.relative_to(path))]
        if not files:
            listing.skipped.append(Skipped(path, "a class folder without files"))
        listing.photos += [Photo(file, path.name, side) for file in files]


def hidden(path: Path) -> bool:
    """Does a file or a folder on the way to it begin with a dot?"""
    return any(part.startswith(".") for part in path.parts)


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise PhotosError(f"{folder} cannot be read: {error.strerror}") from error


def _from_csv(source: Path) -> Listing:
    """Rows of image,label[,split][,group]; paths are relative to the CSV."""
    listing = Listing()
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PhotosError(f"{source} cannot be read as a CSV: {error}") from error
    if not {"image", "label"} <= columns:
        found = ", ".join(sorted(columns)) or "no rows"
        raise PhotosError(f"{source}: expected the columns image,label; found {found}")
    for number, row in rows:
        image, label = (row["image"] or "").strip(), (row["label"] or "").strip()
        split = (row.get("split") or "").strip().lower()
        path = source.parent / image
        if split and split not in _SIDE_NAMES:
            expected = ", ".join(SIDES)
            raise PhotosError(f"{source}, line {number}: split is {split!r}; expected {expected}")
        if not image or not label:
            listing.skipped.append(Skipped(path, f"line {number} has no image or no label"))
        elif not _is_file(path):
            listing.skipped.append(Skipped(path, f"line {number}: no such file"))
        else:
            group = (row.get("group") or "").strip()
            listing.photos.append(Photo(path, label, _SIDE_NAMES.get(split), group))
    return listing


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system allows
        return False
