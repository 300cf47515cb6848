"""Find what is wrong with the photos, without changing any of them.

Every finding names one photo that a person might leave out, with the reason. Where a program can
be sure (a damaged file, a second copy) the finding proposes to leave it out; where it cannot (a
label, a near copy) a person decides.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.natural_order import natural_key
from training.doctor.near_copies import NearCopy
from training.doctor.suspects import Suspect
from training.features.compute import Features
from training.features.thumbnails import Appearance
from training.photos.listing import QUIET, Listing, Photo
from training.sides.class_sizes import is_uneven

ONE_COLOUR = 2.0  # spread of a thumbnail, below which it is of one colour
TINY_CLASS = 10  # photos
_TYPES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), ("JPEG", "MPO")),
    ".png": ("PNG",),
    ".webp": ("WEBP",),
    ".gif": ("GIF",),
    ".bmp": ("BMP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".avif": ("AVIF",),
    ".heic": ("HEIF",),
    ".heif": ("HEIF",),
}
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2, None: 2}  # which of the copies stays


@dataclass(frozen=True)
class Problem:
    """One kind of finding."""

    code: str  # in the list
    title: str  # in front of their number
    exclude: bool  # propose to leave the photo out
    meaning: str


_ALL = (
    ("unreadable", "files that cannot be read", True,
     "Damaged, empty, too large, or no photo. Training skips them."),
    ("copy-classes", "one file in two classes", True,
     "One of the labels is wrong. Training leaves out all copies."),
    ("copy-sides", "one file on two sides", True,
     "A test photo must not be trained on. Training keeps the copy on the test side."),
    ("copy", "exact copies", True,
     "All copies are put on one side; each of them counts in training."),
    ("near-classes", "near copies in two classes", False,
     "One picture under two labels: saved again, resized, cropped or mirrored."),
    ("near-sides", "near copies on two sides", True,
     "A test photo must not be trained on. Training keeps the copy on the test side."),
    ("near", "near copies", False,
     "They are put on one side, so that no test photo was trained on."),
    ("label", "labels that are likely wrong", False,
     "A model of the other photos puts them into another class; the surest come first. Some "
     "are only hard photos: look at them before you leave any out."),
    ("alpha", "photos whose alpha hides nearly all of them", False,
     "Their alpha channel is another band, or was lost: colours are used as they are."),
    ("one-colour", "photos of one colour", True, "Nothing can be learnt from them."),
    ("tiny", "tiny photos", False,
     "Both sides have less than half the pixels that the network looks at."),
    ("type", "files of another type than their name says", False,
     "They are read all the same: this is only a note."),
    ("unused", "files that are not used", False,
     "They are in no class folder, or do not exist."),
    ("excluded", "photos left out by your list", True,
     "They stay in the new list, so that it can be used again."),
)  # fmt: skip
PROBLEMS = {entry[0]: Problem(*entry) for entry in _ALL}


@dataclass(frozen=True)
class Finding:
    """One problem of one photo."""

    code: str  # a key of PROBLEMS
    photo: Path
    label: str
    detail: str
    other: Path | None = None  # the photo that this one is a copy of


@dataclass
class Checkup:
    """All findings, in the order of PROBLEMS."""

    photos: int
    classes: int
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)  # on classes, not on single photos

    def of(self, code: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.code == code]

    def in_words(self) -> list[str]:
        """Write a few lines for the terminal."""
        lines = [f"{self.photos:,} photos in {self.classes} classes"]
        for code, problem in PROBLEMS.items():
            if found := self.of(code):
                lines.append(f"{problem.title}: {len(found):,}")
        return lines + self.notes + ([] if len(lines) > 1 or self.notes else ["nothing found"])


def examine(
    listing: Listing,
    features: Features,
    appearances: Mapping[bytes, Appearance],
    near: Sequence[NearCopy],
    size: int,
    suspects: Sequence[Suspect] = (),
) -> Checkup:
    """Collect every finding about the photos.

    Args:
        listing: all files; features: of the photos that can be read.
        appearances: of every digest; near: pairs of `features.photos`.
        size: px, the network's input.
        suspects: photos of `features.photos` whose label is likely wrong.
    """
    photos, digests = features.photos, features.digests
    labels = {photo.path: photo.label for photo in listing.photos}
    findings = [
        Finding("excluded" if item.asked else "unused", item.path, "", item.reason)
        for item in listing.skipped
        if item.kind not in QUIET
    ]
    findings += [
        Finding("unreadable", item.path, labels[item.path], item.reason)
        for item in features.skipped
    ]
    findings += _copies(photos, digests)
    findings += [_near_copy(photos, appearances, digests, pair) for pair in near]
    findings += [
        Finding("label", photos[found.place].path, photos[found.place].label,
                f"labelled {photos[found.place].label}, looks like {found.likely} "
                f"({100 * found.likely_chance:.0f} %)")
        for found in suspects
    ]  # fmt: skip
    for photo, digest in zip(photos, digests, strict=True):
        findings += _odd_appearance(photo, appearances[digest], size)
    counts = Counter(photo.label for photo in photos)
    notes = _class_notes(counts)
    tiny = sum(finding.code == "tiny" for finding in findings)
    if 2 * tiny > len(photos):  # how the photos are, not what is wrong with some
        findings = [finding for finding in findings if finding.code != "tiny"]
        notes.append(
            f"{tiny:,} photos have less than half the {size} px that the network looks at: "
            "a smaller --size is faster and may be as accurate"
        )
    order = list(PROBLEMS)
    findings.sort(key=lambda finding: order.index(finding.code))  # stable: suspects stay ranked
    return Checkup(len(listing.photos), len(counts), findings, notes)


def _copies(photos: Sequence[Photo], digests: Sequence[bytes]) -> list[Finding]:
    """Return a finding for every copy of a file, except the one that is kept."""
    count, same = Counter(digests), defaultdict(list)
    for photo, digest in zip(photos, digests, strict=True):
        if count[digest] > 1:
            same[digest].append(photo)
    findings = []
    for copies in same.values():
        kept, *others = sorted(copies, key=lambda photo: _KEPT_FIRST[photo.side])
        if len({photo.label for photo in copies}) > 1:
            one = copies[0]
            unlike = next(each for each in copies if each.label != one.label)
            for photo in copies:
                other = unlike if photo.label == one.label else one
                detail = f"in the class {photo.label}, and in {other.label}"
                findings.append(
                    Finding("copy-classes", photo.path, photo.label, detail, other.path)
                )
            continue
        for photo in others:
            apart = (photo.side or "train") != (kept.side or "train")
            detail = f"on the side {photo.side}, and on {kept.side}" if apart else "the same bytes"
            code = "copy-sides" if apart else "copy"
            findings.append(Finding(code, photo.path, photo.label, detail, kept.path))
    return findings


def _near_copy(
    photos: Sequence[Photo],
    appearances: Mapping[bytes, Appearance],
    digests: Sequence[bytes],
    pair: NearCopy,
) -> Finding:
    """Return the finding for one near copy; the test photo is kept, else the larger, the first."""

    def rank(index: int) -> tuple[int, int, int]:
        seen = appearances[digests[index]]
        return _KEPT_FIRST[photos[index].side], -seen.width * seen.height, index

    first, second = sorted((pair.one, pair.other), key=rank)
    kept, photo = photos[first], photos[second]
    both = appearances[digests[second]], appearances[digests[first]]
    detail = " and ".join(f"{seen.width} x {seen.height}" for seen in both) + " px"
    detail += ", mirrored" if pair.mirrored else ""
    code = "near"
    if (kept.side or "train") != (photo.side or "train"):
        code, detail = "near-sides", f"on the sides {photo.side} and {kept.side}, {detail}"
    if kept.label != photo.label:
        code, detail = "near-classes", f"in the classes {photo.label} and {kept.label}, {detail}"
    return Finding(code, photo.path, photo.label, detail, kept.path)


def _odd_appearance(photo: Photo, seen: Appearance, size: int) -> list[Finding]:
    """Return the findings about one photo alone: its colours, size and type."""
    found = []
    if seen.alpha_ignored:
        found.append(("alpha", "alpha hides nearly the whole photo: colours are used as they are"))
    if seen.spread < ONE_COLOUR:
        found.append(("one-colour", f"its colours spread by {seen.spread:.1f} of 127"))
    if 2 * max(seen.width, seen.height) < size:
        found.append(("tiny", f"{seen.width} x {seen.height} px; the network sees {size} x {size}"))
    suffix = photo.path.suffix.lower()
    if seen.kind not in _TYPES.get(suffix, (seen.kind,)):
        found.append(("type", f"named {suffix}, but it is {seen.kind}"))
    return [Finding(code, photo.path, photo.label, detail) for code, detail in found]


def _class_notes(counts: Counter[str]) -> list[str]:
    """Note classes that are tiny, or of very uneven sizes."""
    notes = [
        f"class {label!r} has {count} photo(s): too few for reliable numbers"
        for label, count in sorted(counts.items(), key=lambda item: natural_key(item[0]))
        if count < TINY_CLASS
    ]
    if is_uneven(counts.values()):
        (most, many), (least, few) = counts.most_common(1)[0], counts.most_common()[-1]
        notes.append(
            f"class {most!r} has {many:,} photos and {least!r} {few}: accuracy depends mostly on "
            "the large class; balanced accuracy counts both the same"
        )
    return notes
