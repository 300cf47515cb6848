"""The list of findings: written for a person to edit, and read again as photos to leave out.

A row stands for a photo. What stands in the list is left out, unless its column `exclude` says
no; nothing is deleted or moved. Paths are relative to the photos, so the list travels with them.
A name that no terminal should see, with line ends or escape codes, stands there with escapes; it
is known again by them.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.errors import PhotosError
from training.doctor.examine import PROBLEMS, Finding
from training.photos.listing import Listing, Skipped
from training.photos.table import read_text
from training.places.place import absolute
from training.settings.printable import printable

COLUMNS = ("photo", "problem", "detail", "other", "exclude")
_NO = {"no", "n", "false", "0", "keep"}


def write_list(path: Path, findings: Sequence[Finding], source: Path) -> None:
    """A CSV of `findings` with paths below `source`, the folder or CSV of the photos."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for found in findings:
            exclude = "yes" if PROBLEMS[found.code].exclude else "no"
            other = below(found.other, source) if found.other else ""
            writer.writerow(
                (below(found.photo, source), found.code, printable(found.detail), other, exclude)
            )


def below(path: Path, source: Path) -> str:
    """A path as the list has it. Of spreadsheets none takes one that begins so for a formula."""
    base = _base(source)
    text = path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
    text = printable(text)
    return f"./{text}" if text[:1] in "=+-@" else text


def leave_out(listing: Listing, source: Path, wanted: Path) -> Listing:
    """The listing without the photos that the file `wanted` names; those are among the skipped.

    Args:
        wanted: a CSV with a column photo (or image) and perhaps exclude; or a path on each line.
            Paths are relative to `source`, to the file itself, or to where the command runs.

    Raises:
        PhotosError: it cannot be read.
    """
    names = _names(wanted)
    bases = (_base(source), wanted.parent, Path())
    here = {absolute(photo.path) for photo in listing.photos}
    escaped = {printable(path): path for path in here if not path.isprintable()}
    gone, unknown = set(), []
    for name in names:
        places = [absolute(base / name) for base in bases]
        places += [absolute(base / name.replace("\\", "/")) for base in bases]
        found = [place for place in (*places, name) if place in here]  # or an address
        found = found or [escaped[place] for place in places if place in escaped]
        gone |= set(found[:1])
        if not found:
            reason = f"{wanted.name} names it, but no photo is there"
            unknown.append(Skipped(Path(name), reason, kind="unknown"))
    return replace(
        listing,
        photos=[photo for photo in listing.photos if absolute(photo.path) not in gone],
        skipped=[
            *listing.skipped,
            *(
                Skipped(photo.path, f"left out by {wanted.name}", asked=True, kind="asked")
                for photo in listing.photos
                if absolute(photo.path) in gone
            ),
            *unknown,
        ],
    )


def _names(wanted: Path) -> list[str]:
    """Of the photos to leave out, in the order of the file, each once. Raises PhotosError."""
    try:
        text, _ = read_text(wanted)
    except OSError as error:
        raise PhotosError(f"--exclude {wanted} cannot be read: {error}") from error
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ";\t" if mark in first and "," not in first), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    key = columns.get("photo", columns.get("image"))
    if key is None:
        return list(dict.fromkeys(line.strip("\r") for line in text.split("\n") if line.strip()))
    answers = columns.get("exclude")
    rows = [row for row in reader if row[key]]
    return list(
        dict.fromkeys(
            row[key] for row in rows if (row.get(answers or "") or "").strip().lower() not in _NO
        )
    )


def _base(source: Path) -> Path:
    return source.parent if source.is_file() else source
