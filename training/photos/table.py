"""A CSV as people have it -> its columns and rows: whichever delimiter, encoding and header.

Spreadsheets write `;` or tabs, UTF-16 or the code page of their country; headers come in any
case and with the usual synonyms. What had to be guessed is said.
"""

import codecs
import csv
import io
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import PhotosError

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# What a column is called -> names that mean the same, in order of preference.
SYNONYMS = {
    "image": "image images img photo picture file filename file_name filepath file_path path "
    "image_path img_path photo_path image_name img_name image_file image_filename imagepath "
    "imagename relative_path",
    "label": "label labels class classes class_name classname category target class_label "
    "label_name labelname",
    "split": "split set subset partition side",
    "group": "group group_id",
}
_BOMS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
PHOTO_ENDS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")


@dataclass
class Table:
    """A CSV, read."""

    rows: list[tuple[int, list[str]]]  # line, as an editor counts, and cells
    columns: dict[str, int]  # image, label and perhaps split and group: which cell
    width: int  # cells of the header
    delimiter: str
    encoding: str  # in which bytes of a name that is no Unicode may be written
    notes: list[str] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read the CSV at `path`.

    Raises:
        PhotosError: it is no text, has no columns for photo and label, or two for one of them.
    """
    try:
        text, encoding = read_text(path)
    except OSError as error:
        raise PhotosError(f"{path} cannot be read as a CSV: {error}") from error
    notes = []
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"{path.name} is not UTF-8: read as {encoding}")
    parsed = {mark: _parse(path, text, mark) for mark in DELIMITERS if mark in text}
    parsed = parsed or {",": _parse(path, text, ",")}
    headers = {mark: rows[0][1] if rows else [] for mark, rows in parsed.items()}
    fitting = [mark for mark, header in headers.items() if _knows(header)]
    delimiter = (fitting or sorted(headers, key=lambda mark: -len(headers[mark])))[0]
    rows, header = parsed[delimiter], headers[delimiter]
    columns = _columns(path, header, delimiter)
    if delimiter != ",":
        notes.append(f"{path.name} is separated by {DELIMITERS[delimiter]}")
    told = [f"{header[at].strip()!r} as {name}" for name, at in columns.items()
            if header[at].strip().lower() != name]  # fmt: skip
    if told:
        notes.append(f"{path.name}: read {', '.join(told)}")
    return Table(rows[1:], columns, len(header), delimiter, encoding, notes)


def read_text(path: Path) -> tuple[str, str]:
    """Read a list in whichever encoding it has; returns the text, and the encoding.

    Raises:
        PhotosError: it is no text.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is a folder, a pipe or a device, not a file")
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        raise PhotosError(
            f"{path} is a zip archive or an Excel workbook: unpack it and give the folder, or save "
            "the sheet as CSV"
        )
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:4096]:
        zeros = [data[start:4096:2].count(0) for start in (0, 1)]
        encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    guesses = [encoding] if encoding else ["utf-8", "cp1252"]
    for guess in guesses:
        try:
            text = data.decode(guess)
        except UnicodeDecodeError:
            continue
        if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text):
            break
        return text.lstrip("\ufeff"), guess  # some programs write it twice
    raise PhotosError(
        f"{path} cannot be read as a CSV: it is no text in {' or '.join(guesses)}; save it as "
        "CSV in UTF-8, with the columns image,label"
    )


def _parse(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, each with its last line in the file."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            announced = not rows and cells and cells[0].strip().lower().startswith("sep=")
            if any(cell.strip() for cell in cells) and not announced:  # Excel's first line
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        where = f"line {reader.line_num}: {error}"
        raise PhotosError(f"{path} cannot be read as a CSV: {where}") from error
    return rows


def _plain(name: str) -> str:
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


def _find(header: Sequence[str], wanted: str) -> list[int]:
    """Columns that mean `wanted`: the ones of that very name, else the synonyms."""
    names = [_plain(name) for name in header]
    exact = [at for at, name in enumerate(names) if name == wanted]
    known = SYNONYMS[wanted].split()
    return exact or [at for at, name in enumerate(names) if name in known]


def _knows(header: Sequence[str]) -> bool:
    return bool(_find(header, "image") and _find(header, "label"))


def _columns(path: Path, header: Sequence[str], delimiter: str) -> dict[str, int]:
    """Which cell is what. Raises PhotosError where one is missing, or there are two."""
    found = {wanted: _find(header, wanted) for wanted in SYNONYMS}
    if not (found["image"] and found["label"]):
        cells = sorted(name.strip() for name in header)
        first = any(cell.lower().endswith(PHOTO_ENDS) for cell in cells)
        advice = f"; line 1 looks like a photo: put the line image{delimiter}label above it"
        raise PhotosError(
            f"{path}: expected the columns image,label; found {', '.join(cells) or 'no rows'} "
            f"(separated by {DELIMITERS[delimiter]}){advice if first else ''}"
        )
    for wanted in ("image", "label"):
        if len(found[wanted]) > 1:
            names = ", ".join(header[at].strip() for at in found[wanted])
            raise PhotosError(f"{path}: {names} could each be the {wanted}: call one {wanted!r}")
    return {wanted: places[0] for wanted, places in found.items() if len(places) == 1}
