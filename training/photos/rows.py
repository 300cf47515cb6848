"""Rows of a CSV -> labelled photos: where each file is, and what its row lacks.

Paths are relative to the CSV. They may be written as on another system: with backslashes, as
`file://` addresses, with accents in another form; or be addresses of a store. A photo that two
rows name counts once.
"""

import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.errors import PhotosError, SettingError
from training.photos.labels import composed
from training.photos.listing import Listing, Photo, Skipped
from training.photos.side_names import SIDES, sides_of
from training.photos.table import DELIMITERS, Table, read_table
from training.places.address import Listed, Url, as_place, is_address
from training.places.place import absolute
from training.settings.printable import without_secrets


def find_in_table(source: Path) -> Listing:
    """List the photos of a CSV with the columns image,label and perhaps split and group.

    Raises:
        PhotosError: it cannot be read, or a row names a side that there is not.
    """
    table = read_table(source)
    listing = Listing(notes=table.notes)
    sides, listed = _sides(source, table), Listed()
    lines: dict[Photo, int] = {}
    for number, cells in table.rows:
        cell = {name: cells[at].strip() for name, at in table.columns.items() if at < len(cells)}
        image, label = cell.get("image", ""), composed(cell.get("label", ""))
        path = Path(without_secrets(image)) if is_address(image) else source.parent / image
        if len(cells) > table.width and any(extra.strip() for extra in cells[table.width :]):
            mark = DELIMITERS[table.delimiter]
            reason = f"line {number} has {len(cells)} cells, the header {table.width}: put a name "
            listing.skipped.append(Skipped(path, f"{reason}with {mark} in quotes", kind="bad-row"))
        elif not image or not label:
            reason = f"line {number} has no image or no label"
            listing.skipped.append(Skipped(path, reason, kind="bad-row"))
        else:
            try:
                place, wrong = _place(source.parent, image, table.encoding, listed)
            except SettingError as error:
                listing.skipped.append(Skipped(path, f"line {number}: {error}", kind="url"))
                continue
            if wrong:
                kind = "permission" if "permission" in wrong else "missing"
                listing.skipped.append(Skipped(place, f"line {number}: {wrong}", kind=kind))
                continue
            photo = Photo(place, label, sides.get(cell.get("split", "")), cell.get("group", ""))
            if photo in lines:
                reason = f"line {number} is line {lines[photo]} again"
                listing.skipped.append(Skipped(place, reason, kind="duplicate-row"))
            else:
                lines[photo] = number
    return _without_contradictions(listing, lines)


def _sides(source: Path, table: Table) -> dict[str, str]:
    """What stands in the column split -> the side. Raises PhotosError, naming the line."""
    at = table.columns.get("split")
    if at is None:
        return {}
    given = [(number, cells[at].strip()) for number, cells in table.rows if at < len(cells)]
    sides = sides_of({name for _, name in given if name})
    for number, name in given:
        if name and name not in sides:
            expected = ", ".join(SIDES)
            raise PhotosError(f"{source}, line {number}: split is {name!r}; expected {expected}")
    return sides


def _without_contradictions(listing: Listing, lines: dict[Photo, int]) -> Listing:
    """Leave out every photo that has two labels: one of them is wrong."""
    rows: dict[str, list[Photo]] = defaultdict(list)
    for photo in lines:
        rows[absolute(photo.path)].append(photo)
    for photo, number in lines.items():
        same = rows[absolute(photo.path)]
        labels = sorted({each.label for each in same})
        if len(labels) > 1:
            told = " and ".join(f"line {lines[each]} says {each.label}" for each in same[:3])
            reason = f"line {number}: two labels ({told})"
            listing.skipped.append(Skipped(photo.path, reason, kind="two-labels"))
        else:
            listing.photos.append(photo)
    return listing


def _place(base: Path, image: str, encoding: str, listed: Listed) -> tuple[Path, str]:
    """Where a photo is, and what is wrong with it; empty if nothing is.

    Raises:
        SettingError: it is an address that cannot be read.
    """
    if is_address(image) and not image.startswith("file://"):
        return _elsewhere([as_place(image)], listed)
    if isinstance(base, Url):
        return _elsewhere([_below(base, name) for name in _spellings(image, encoding)], listed)
    wrong = ""
    for name in _spellings(image, encoding):
        try:
            mode = (base / name).stat().st_mode
        except PermissionError:
            wrong = wrong or f"permission denied: {base / name}"
        except (OSError, ValueError):  # not there; longer than a name may be; a zero byte
            continue
        else:
            if stat.S_ISREG(mode):
                return base / name, ""
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            wrong = wrong or f"{what}, not a file: {base / name}"
    tried = base / image.replace("\\", "/")
    return tried, wrong or f"no such file: tried {tried}"


def _below(base: Url, name: str) -> Path:
    """Join: a store takes `..` for a name, and has no root."""
    place: Path = base
    for part in name.split("/"):
        if part not in ("", "."):
            place = place.parent if part == ".." else place / part
    return place


def _elsewhere(places: Sequence[Path], listed: Listed) -> tuple[Path, str]:
    """The same of the first place that is there, without a request for each."""
    for place in places:
        try:
            fact = listed.find(place) if isinstance(place, Url) else None
        except OSError as error:
            return place, f"{error.strerror}: {place}"
        if fact and isinstance(place, Url):
            wrong = f"a folder, not a file: {place}" if fact.folder else ""
            return place.with_fact(fact), wrong
    return places[0], f"no such file: tried {places[0]}"


def _spellings(image: str, encoding: str) -> Iterator[str]:
    """Ways to write the path of a photo, the likeliest first."""
    if image.startswith("file://"):
        image = unquote(urlsplit(image).path)
    turned = image.replace("\\", "/")
    for name in dict.fromkeys((image, turned)):
        for form in ("", "NFC", "NFD"):
            yield unicodedata.normalize(form, name) if form else name  # type: ignore[arg-type]
    if encoding == "cp1252":  # the list has the bytes of the names
        yield os.fsdecode(turned.encode(encoding))
