"""Which folders are classes, which are sides, and which are neither: judged by names and depth.

Nothing is walked here: a look one folder deep is enough.
"""

import os
import re
from pathlib import Path

from models.errors import PhotosError
from training.photos.labels import composed, look_alike_key
from training.photos.side_names import side_of, sides_of
from training.photos.system_files import is_document, system_name
from training.photos.walk import Level
from training.places.place import Place

Inner = tuple[list[str], bool]  # names of the folders inside one, and whether it holds photos

# Names of folders inside a class folder that say nothing of a class: they may be the same in all.
_PLAIN = re.compile(
    r"(images?|imgs?|photos?|pictures?|pics?|jpe?gs?|pngs?|raw|originals?|crop(ped|s)?|resized|"
    r"unlabell?ed|\d*canon|dcim|\d{3}_?[a-z]{4,5}|(19|20)\d\d([-_. ]?\d\d){0,2})"
)


def class_name(folder: Path) -> str:
    """The label that a folder's name gives; one text, however a system writes its accents."""
    return composed(folder.name)


def peek(folder: Path) -> Inner:
    """Names of the folders directly inside `folder`, and whether it holds files like photos."""
    if isinstance(folder, Place):
        inside = [child for child in folder.children() if not system_name(child.name)]
        folders = [child.name for child in inside if child.is_dir()]
        return sorted(folders), any(not (c.is_dir() or is_document(c)) for c in inside)
    folders, photos = [], False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if system_name(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                else:
                    photos = photos or not is_document(Path(entry.name))
    except OSError:
        return [], False  # whoever needs it opens it, and says so
    return sorted(folders), photos


def are_sides(level: Level, sides: dict[Path, str]) -> bool:
    """Whether folders with such names are sides, and not classes that are called so."""
    holding = [folder for folder in sides if peek(folder)[0]]
    if "train" in sides.values():
        flat = [
            folder for folder, side in sides.items() if side == "train" and folder not in holding
        ]
        if flat and len(sides) == len(level.folders) > 1 and peek(flat[0])[1]:
            raise PhotosError(
                f"{flat[0]} holds photos, but no class folders: make one folder for each class "
                f"in it, or write a CSV with image,label,split"
            )
        return any(sides[folder] == "train" for folder in holding)
    return bool(sides) and len(holding) == len(level.folders)


def unlabelled(folder: Path, level: Level, known: set[str]) -> bool:
    """Whether a folder in a testing side is no class: `test/test/`, `test/images/`."""
    if class_name(folder) in known:
        return False
    generic = side_of(folder.name) is not None or _PLAIN.fullmatch(folder.name.lower())
    return bool(generic) or folder.name == level.path.name


def have_sides_inside(place: Path, inner: dict[Path, Inner]) -> bool:
    """Whether every class folder holds side folders, and those the photos: `cat/train/1.jpg`."""
    if len(inner) < 2:
        return False
    for folder, (names, photos) in inner.items():
        sides = sides_of(names)
        if photos or len(sides) != len(names) or "train" not in sides.values():
            return False
        if not all(peek(folder / name)[1] for name in names):
            return False
    return True


def refuse_unclear_folders(place: Path, inner: dict[Path, Inner]) -> None:
    """Stop where folders are rather sides or parts of one set than classes. Raises PhotosError."""
    names = {look_alike_key(folder.name) for folder in inner}
    for folder, (folders, _) in inner.items():
        twice = sorted(names & {look_alike_key(name) for name in folders})
        if len(twice) > 1:
            raise PhotosError(
                f"{folder} holds folders called like the classes beside it "
                f"({', '.join(twice[:3])}): it looks like a second copy of the photos; move it "
                "out, or give only that folder"
            )
    nested = {
        folder: {look_alike_key(name) for name in found}
        for folder, (found, photos) in inner.items()
        if found and not photos
    }
    if len(nested) < 2 or 2 * len(nested) < len(inner) or have_sides_inside(place, inner):
        return
    shared = set.intersection(*nested.values())
    equal = all(found == shared for found in nested.values())
    telling = {name for name in shared if not _PLAIN.fullmatch(name.lower())}
    if not telling or not (equal or len(telling) > 1):
        return
    outer = ", ".join(f"{folder.name}/" for folder in list(nested)[:3])
    within = ", ".join(f"{name}/" for name in sorted(telling)[:3])
    raise PhotosError(
        f"{place} holds {outer} and each of them holds {within}: that looks like sides or parts of "
        f"one set, not like classes. If {within} are the classes, put their photos together, or "
        "call the outer folders train/, validation/ and test/; if the outer ones are, write a CSV "
        "with image,label"
    )
