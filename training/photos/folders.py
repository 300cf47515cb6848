"""Folders -> labelled photos: class folders, under sides or not, or with sides inside them.

A folder that holds nothing but one folder is gone through. Where folders look like classes and
are rather sides, parts or years of one set, nothing is guessed: the run stops and says so.
"""

from pathlib import Path

from models.errors import PhotosError
from training.photos.layouts import (
    are_sides,
    class_name,
    have_sides_inside,
    peek,
    refuse_unclear_folders,
    unlabelled,
)
from training.photos.listing import Listing, Photo, Skipped
from training.photos.side_names import side_of, sides_of
from training.photos.system_files import is_document, own_output
from training.photos.walk import Found, Level, look_into, walk
from training.places.place import real


def find_in_folders(source: Path) -> Listing:
    """List every photo below class folders.

    Raises:
        PhotosError: a folder that would be a class cannot be read, or is likely none.
    """
    if own_output(source) == "a saved model":
        raise PhotosError(f"{source} is a saved model, not a folder of photos: give the photos")
    listing = Listing()
    level = _descend(_open(source), listing, known=None)
    named = sides_of(folder.name for folder in level.folders)
    sides = {folder: named[folder.name] for folder in level.folders if folder.name in named}
    outside: list[Path] = []
    if are_sides(level, sides):
        outside += _add_sides(level, sides, listing, source)
    else:
        outside += _add_classes(level, None, listing, set(), source)
    if outside:
        first = f"{outside[0]} -> {real(outside[0])}"
        listing.notes.append(
            f"{len(outside):,} links lead out of {source} and are followed; the first: {first}"
        )
    listing.photos.sort(key=lambda photo: photo.path)
    return listing


def _open(folder: Path) -> Level:
    """List a folder that holds classes or sides. Raises PhotosError for one that may not be read.

    A class that leads nowhere stops the run too: the model would be without it.
    """
    try:
        level = look_into(folder)
    except OSError as error:
        raise PhotosError(
            f"{folder} cannot be read: {error.strerror}; its photos would be missing: change its "
            "rights, or move it out"
        ) from error
    _leave_links_back(level)
    for item in level.skipped:
        classlike = item.kind in ("permission", "broken-link") and not item.path.suffix
        if classlike or (item.kind == "permission" and not (level.folders or level.files)):
            remedy = "change its rights" if item.kind == "permission" else "mend the link"
            raise PhotosError(
                f"{item.path} cannot be read: {item.reason.partition(':')[0]}; a class would be "
                f"missing: {remedy}, or move it out"
            )
    return level


def _leave_links_back(level: Level) -> None:
    """Set apart links to a folder that holds the level itself, or to a folder beside them."""
    places = {folder: real(folder) for folder in level.folders}
    here = real(level.path)
    own = {place for folder, place in places.items() if not folder.is_symlink()}
    for folder, place in places.items():
        if folder.is_symlink() and (here.is_relative_to(place) or place in own):
            reason = f"a link to {place}, which is read already or holds it"
            level.folders.remove(folder)
            level.skipped.append(Skipped(folder, reason, kind="loop"))
        own.add(place)  # of two links to one folder the first is read


def _descend(level: Level, listing: Listing, known: set[str] | None) -> Level:
    """Go through folders that hold nothing but one folder of folders.

    Args:
        known: inside a side, labels of the training side: a folder of that name is a class.
    """
    visited = {real(level.path)}
    while len(level.folders) == 1 and all(map(is_document, level.files)):
        child = level.folders[0]
        folders, photos = peek(child)
        if photos or not folders or real(child) in visited:
            break
        if class_name(child) in (known or ()):
            break
        if known is None and side_of(child.name) and not sides_of(folders):
            break  # the only side that there is
        visited.add(real(child))
        listing.notes.append(f"{level.path} holds nothing but {child.name}/: its folders are read")
        _leave_loose(level, listing)
        level = _open(child)
    return level


def _add_sides(level: Level, sides: dict[Path, str], listing: Listing, source: Path) -> list[Path]:
    """List the photos of every side, train first; returns links that lead out."""
    _say_sides(sides, listing)
    for folder in level.folders:
        if folder not in sides:
            reason = f"a folder beside {_first(sides, 'train').name}/ that is no side"
            listing.skipped.append(Skipped(folder, reason, kind="no-side"))
    _leave_loose(level, listing)
    outside: list[Path] = []
    known: set[str] = set()
    for folder, side in sorted(sides.items(), key=lambda entry: entry[1] != "train"):
        before = len(listing.photos)
        inner = _descend(_open(folder), listing, known)
        outside += _add_classes(inner, side, listing, known, source)
        known |= {photo.label for photo in listing.photos if photo.side == "train"}
        if len(listing.photos) == before:
            listing.notes.append(
                f"{folder} has no photos in class folders: {side} photos are taken out of train"
            )
    return outside


def _say_sides(sides: dict[Path, str], listing: Listing) -> None:
    """Say which folder is taken for which side, where its name is not the side's."""
    if any(folder.name != side for folder, side in sides.items()):
        said = ", ".join(f"{folder.name}/ is {side}" for folder, side in sides.items())
        listing.notes.append(f"sides: {said}")


def _first(sides: dict[Path, str], wanted: str) -> Path:
    return next((folder for folder, side in sides.items() if side == wanted), next(iter(sides)))


def _leave_loose(level: Level, listing: Listing) -> None:
    """Name what lies beside folders and in none of them."""
    listing.skipped += level.skipped
    for path in level.files:
        if is_document(path):
            reason = "a document beside the class folders"
            listing.skipped.append(Skipped(path, reason, kind="document"))
        else:
            listing.skipped.append(Skipped(path, "not in a class folder", kind="no-class"))


def _add_classes(
    level: Level, side: str | None, listing: Listing, known: set[str], source: Path
) -> list[Path]:
    """List the photos of each class folder in `level`; returns links that lead out.

    Args:
        known: labels of the training side, where `side` is another one.
    """
    _leave_loose(level, listing)
    inner = {folder: peek(folder) for folder in level.folders}
    outside: list[Path] = []
    if side in (None, "train"):
        refuse_unclear_folders(level.path, inner)
    inverted = side is None and have_sides_inside(level.path, inner)
    if inverted:
        listing.notes.append(f"sides: each class of {level.path} has them inside")
    for folder in level.folders:
        if side in ("test", "validation") and unlabelled(folder, level, known):
            found = walk(folder, source)
            reason = f"not in a class folder: {folder.name}/ is none"
            listing.skipped += [Skipped(file, reason, kind="no-class") for file in found.files]
        elif inverted:
            for name, inner_side in sides_of(inner[folder][0]).items():
                outside += _add_class(
                    folder / name, class_name(folder), inner_side, listing, source
                )
            _leave_loose(_open(folder), listing)
        else:
            outside += _add_class(folder, class_name(folder), side, listing, source)
    return outside


def _add_class(
    folder: Path, label: str, side: str | None, listing: Listing, source: Path
) -> list[Path]:
    """List the photos of one class folder; returns links that lead out."""
    found = _walk_class(folder, source)
    listing.skipped += found.skipped
    if not found.files:
        reason = "a class folder without files"
        listing.skipped.append(Skipped(folder, reason, kind="empty-class"))
    elif all(map(is_document, found.files)):
        reason = f"a class folder without photos: {len(found.files):,} files such as "
        reason += found.files[0].name
        listing.skipped.append(Skipped(folder, reason, kind="no-photos"))
    else:
        listing.photos += [Photo(file, label, side) for file in found.files]
    return found.outside


def _walk_class(folder: Path, source: Path) -> Found:
    """Walk a class folder. Raises PhotosError if nothing in it can be read for lack of rights."""
    try:
        found = walk(folder, source)
    except OSError as error:
        _open(folder)  # says what a person should do
        raise PhotosError(f"{folder} cannot be read: {error.strerror}") from error
    denied = [item for item in found.skipped if item.kind == "permission"]
    if denied and not found.files:
        raise PhotosError(
            f"nothing in the class folder {folder} can be read ({denied[0].path.name}: permission "
            "denied): change its rights, or move it out"
        )
    return found
