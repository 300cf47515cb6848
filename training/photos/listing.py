"""What was found: labelled photos, and what was left out, of which kind, and why.

Every command says what it left out by the same kinds: in the terminal, in the report and as JSON.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import ImageError
from training.photos.system_files import system_name
from training.places.system import Unreachable
from training.settings.console import Stages
from training.settings.printable import printable

LEFT_OUT = "left_out.csv"  # in a bundle
FEW = 5  # of one kind: each gets a line of its own
PLACES = 3  # folders that a line names
# Kind -> what it is called in a table. The image_ kinds are the codes of `models.errors`.
KINDS = {
    "image_unsupported": "not a photo in an accepted format",
    "image_too_large": "over a limit",
    "image_unreadable": "damaged",
    "image_empty": "empty",
    "missing": "named by the list, or found before, but not there",
    "unreachable": "in a store that did not answer",
    "url": "addresses in the network: download them first",
    "bad-row": "rows without a photo and a label",
    "duplicate-row": "rows that name a photo again",
    "two-labels": "one photo under two labels",
    "copy": "copies of a photo on a side that tests",
    "small-class": "in a class that is too small",
    "no-class": "in no class folder",
    "no-side": "in a folder beside train/ that is no side",
    "empty-class": "class folders without files",
    "no-photos": "class folders without photos",
    "permission": "not readable for this user",
    "unreadable": "that the system cannot read",
    "broken-link": "links to what is not there",
    "loop": "links to a folder that is read already",
    "same-file": "further names of a photo that is there",
    "special": "pipes, sockets and devices",
    "asked": "left out as asked",
    "unknown": "to be left out, but not there",
    "bundle": "saved models and caches",
    "document": "documents beside the class folders",
    "system": "kept by a system or a program",
}
_CAUSES = {PermissionError: "permission", FileNotFoundError: "missing", Unreachable: "unreachable"}
QUIET = ("document", "system")  # nobody takes them for photos: never listed one by one


@dataclass(frozen=True, slots=True)  # millions of them
class Photo:
    """A file and what is in it."""

    path: Path
    label: str
    side: str | None = None  # train, validation or test, where its owner said so
    group: str = ""  # photos of one group stand on one side; empty: of none


@dataclass(frozen=True, slots=True)  # millions of them
class Skipped:
    """A file or folder that is not used, and why."""

    path: Path
    reason: str
    asked: bool = False  # its owner wants it left out
    kind: str = "unreadable"  # a key of KINDS


@dataclass
class Listing:
    """What was found, in an order that depends on names only."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how the folder was understood
    source: Path = Path()  # the folder or CSV


@dataclass(frozen=True)
class LeftOut:
    """All that was left out for one reason."""

    kind: str
    title: str  # for people
    count: int
    where: str  # folders, or names, with their counts


def unreadable(path: Path, error: ImageError | OSError) -> Skipped:
    """Describe a photo that could not be read, from what reading it raised."""
    if isinstance(error, ImageError):
        return Skipped(path, str(error), kind=error.code)
    kind = next((kind for cause, kind in _CAUSES.items() if isinstance(error, cause)), "unreadable")
    return Skipped(path, error.strerror or str(error), kind=kind)


def count_left_out(skipped: Sequence[Skipped], source: Path) -> list[LeftOut]:
    """Count what was left out, a row for each kind, in the order of KINDS.

    Files that are no photos are told apart by their type: each type asks for something else.

    Args:
        source: the folder or CSV of the photos; places are named below it.
    """
    groups: dict[tuple[str, str], list[Skipped]] = defaultdict(list)
    for item in skipped:
        title = KINDS.get(item.kind, item.kind)
        if item.kind == "image_unsupported":
            title = item.reason
        groups[item.kind, title].append(item)
    order = {kind: number for number, kind in enumerate(KINDS)}
    rows = [
        LeftOut(kind, printable(title), len(items), _where(items, source))
        for (kind, title), items in groups.items()
    ]
    return sorted(rows, key=lambda row: (order.get(row.kind, len(order)), -row.count, row.title))


def left_out_lines(skipped: Sequence[Skipped], source: Path, listed: Path | None) -> list[str]:
    """Write the table of what was left out; first, where they are few, each file by name.

    Args:
        listed: where the whole list is, if there is one.
    """
    rows = count_left_out(skipped, source)
    kinds = Counter(item.kind for item in skipped)
    lines = [
        f"skipped {item.path}: {item.reason}"
        for item in skipped
        if kinds[item.kind] <= FEW and item.kind not in QUIET
    ]
    if rows:
        lines.append(f"left out: {len(skipped):,}")
        lines += [f"{row.count:>8,}  {row.title}: {row.where}" for row in rows]
    if listed and need_list(skipped):
        lines.append(f"each of them: {listed}")
    return [printable(line) for line in lines]


def need_list(skipped: Sequence[Skipped]) -> bool:
    """Whether more was left out than `left_out_lines` names one by one."""
    kinds = Counter(item.kind for item in skipped)
    return any(count > FEW for kind, count in kinds.items() if kind not in QUIET)


def say_notes(stages: Stages, listing: Listing) -> None:
    """Tell the person who waits how the folder or list was understood."""
    for note in listing.notes:
        stages.say(note)


def say_left_out(
    stages: Stages, skipped: Sequence[Skipped], source: Path, listed: Path | None = None
) -> None:
    """Tell the person who waits what was left out; see `left_out_lines`."""
    for line in left_out_lines(skipped, source, listed):
        stages.say(line)


def left_out_as_json(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """Give kind, title and count of what was left out, without names of files."""
    rows = count_left_out(skipped, Path())
    return [{"kind": row.kind, "title": row.title, "count": row.count} for row in rows]


def skipped_as_json(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    """Give each file that was left out, its kind and the reason."""
    return [{"photo": str(item.path), "kind": item.kind, "reason": item.reason} for item in skipped]


def write_left_out(path: Path, skipped: Sequence[Skipped]) -> None:
    """Write the list of all that was left out, as a CSV photo,kind,reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("photo", "kind", "reason"))
        for item in skipped:
            name = printable(item.path)
            safe = f"./{name}" if name[:1] in "=+-@" else name  # else a spreadsheet's formula
            writer.writerow((safe, item.kind, printable(item.reason)))


def _where(items: Sequence[Skipped], source: Path) -> str:
    """Name the places of some files, the fullest first."""
    if items[0].kind == "system":
        counts = Counter(system_name(item.path.name) or item.path.name for item in items)
    elif len(items) == 1:
        return printable(_below(items[0].path, source))
    else:
        counts = Counter(f"{_below(item.path.parent, source)}/" for item in items)
    most = counts.most_common(PLACES)
    shown = ", ".join(f"{printable(place)} ({count:,})" for place, count in most)
    more = len(counts) - len(most)
    return f"{shown} and {more:,} more" if more else shown


def _below(path: Path, source: Path) -> str:
    base = source if source.is_dir() else source.parent
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
