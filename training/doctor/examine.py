"""What is wrong with the photos: found, named, and never touched.

Every finding names one photo that a person might leave out, and says why. Where a machine can be
sure (a damaged file, a second copy) the finding proposes so; where it cannot (a label, a near
copy) it asks.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.doctor.near_copies import NearCopy
from training.doctor.suspects import Suspect
from training.features.compute import Features
from training.features.thumbnails import Look
from training.photos.find import Listing, Photo

ONE_COLOUR = 2.0  # spread of a thumbnail: less is one colour, or nearly
TINY_CLASS = 10  # photos
IMBALANCE = 10  # times as many photos in the largest class as in the smallest
_KINDS = {
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
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2, None: 2}  # of copies, as in the split


@dataclass(frozen=True)
class Problem:
    """A kind of finding."""

    code: str  # in the list
    title: str  # in front of their number
    exclude: bool  # propose to leave the photo out
    meaning: str


_ALL = (
    ("unreadable", "files that cannot be read", True,
     "Damaged, empty, too large, or no photo. Training skips them."),
    ("copy-classes", "one file in two classes", True,
     "One of the labels is wrong. Training leaves out all of them."),
    ("copy-sides", "one file on two sides", True,
     "What is tested must not be trained on. Training keeps the one that tests."),
    ("copy", "exact copies", True,
     "They stand on one side; the photo counts as often as it is there."),
    ("near-classes", "near copies in two classes", False,
     "One picture, saved again, resized, cropped or mirrored, under two labels."),
    ("near-sides", "near copies on two sides", True,
     "What is tested must not be trained on. Training keeps the one that tests."),
    ("near", "near copies", False,
     "They stand on one side, so no number is flattered by them."),
    ("label", "labels that are likely wrong", False,
     "A model of the other photos takes them for another class; the surest come first. Hard "
     "photos are among them: look before you leave any out."),
    ("alpha", "photos whose alpha hides nearly all of them", False,
     "Their alpha channel is another band, or was lost: colours are used as they are."),
    ("one-colour", "photos of one colour", True, "Nothing can be learnt from them."),
    ("tiny", "tiny photos", False,
     "Both sides have less than half the pixels that the network looks at."),
    ("type", "files of another type than their name says", False,
     "They are read all the same: only a note."),
    ("unused", "files that are not used", False,
     "No class folder holds them, or they are not there."),
    ("excluded", "photos left out as asked", True,
     "They stay in the list, so that it can be given again."),
)  # fmt: skip
PROBLEMS = {entry[0]: Problem(*entry) for entry in _ALL}


@dataclass(frozen=True)
class Finding:
    """One problem of one photo."""

    code: str  # a key of PROBLEMS
    photo: Path
    label: str
    detail: str
    other: Path | None = None  # the photo that this one equals


@dataclass
class Checkup:
    """All that was found, in the order of PROBLEMS."""

    photos: int
    classes: int
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)  # of classes, not of photos

    def of(self, code: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.code == code]

    def in_words(self) -> list[str]:
        """A few lines for the person who asked."""
        lines = [f"{self.photos:,} photos in {self.classes} classes"]
        for code, problem in PROBLEMS.items():
            if found := self.of(code):
                lines.append(f"{problem.title}: {len(found):,}")
        return lines + self.notes + ([] if len(lines) > 1 or self.notes else ["nothing found"])


def examine(
    listing: Listing,
    features: Features,
    looks: Mapping[bytes, Look],
    near: Sequence[NearCopy],
    size: int,
    suspects: Sequence[Suspect] = (),
) -> Checkup:
    """Everything that can be said of the photos without asking a person.

    Args:
        listing: what was found; `features`: what could be read of it.
        looks: of every digest; `near`: pairs of `features.photos`.
        size: px, the network's input.
        suspects: photos of `features.photos` whose label is likely wrong.
    """
    photos, digests = features.photos, features.digests
    labels = {photo.path: photo.label for photo in listing.photos}
    findings = [
        Finding("excluded" if item.asked else "unused", item.path, "", item.reason)
        for item in listing.skipped
    ]
    findings += [
        Finding("unreadable", item.path, labels[item.path], item.reason)
        for item in features.skipped
    ]
    findings += _copies(photos, digests)
    findings += [_near_copy(photos, looks, digests, pair) for pair in near]
    findings += [
        Finding("label", photos[found.place].path, photos[found.place].label,
                f"labelled {photos[found.place].label}, looks like {found.likely} "
                f"({100 * found.likely_chance:.0f} %)")
        for found in suspects
    ]  # fmt: skip
    for photo, digest in zip(photos, digests, strict=True):
        findings += _appearance(photo, looks[digest], size)
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
    """Every photo whose bytes stand somewhere else, too, but the one that is kept."""
    same = defaultdict(list)
    for photo, digest in zip(photos, digests, strict=True):
        same[digest].append(photo)
    findings = []
    for copies in same.values():
        kept, *others = sorted(copies, key=lambda photo: _KEPT_FIRST[photo.side])
        if len({photo.label for photo in copies}) > 1:
            for photo in copies:
                other = next(each for each in copies if each.label != photo.label)
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
    photos: Sequence[Photo], looks: Mapping[bytes, Look], digests: Sequence[bytes], pair: NearCopy
) -> Finding:
    """One near copy; kept is the photo that tests, then the larger one, then the first."""

    def rank(index: int) -> tuple[int, int, int]:
        look = looks[digests[index]]
        return _KEPT_FIRST[photos[index].side], -look.width * look.height, index

    first, second = sorted((pair.one, pair.other), key=rank)
    kept, photo = photos[first], photos[second]
    looked = looks[digests[second]], looks[digests[first]]
    detail = " and ".join(f"{look.width} x {look.height}" for look in looked) + " px"
    detail += ", mirrored" if pair.mirrored else ""
    code = "near"
    if (kept.side or "train") != (photo.side or "train"):
        code, detail = "near-sides", f"on the sides {photo.side} and {kept.side}, {detail}"
    if kept.label != photo.label:
        code, detail = "near-classes", f"in the classes {photo.label} and {kept.label}, {detail}"
    return Finding(code, photo.path, photo.label, detail, kept.path)


def _appearance(photo: Photo, look: Look, size: int) -> list[Finding]:
    """What one photo alone says against itself."""
    found = []
    if look.alpha_ignored:
        found.append(("alpha", "alpha hides nearly the whole photo: colours are used as they are"))
    if look.spread < ONE_COLOUR:
        found.append(("one-colour", f"its colours spread by {look.spread:.1f} of 127"))
    if 2 * max(look.width, look.height) < size:
        found.append(("tiny", f"{look.width} x {look.height} px; the network sees {size} x {size}"))
    suffix = photo.path.suffix.lower()
    if look.kind not in _KINDS.get(suffix, (look.kind,)):
        found.append(("type", f"named {suffix}, but it is {look.kind}"))
    return [Finding(code, photo.path, photo.label, detail) for code, detail in found]


def _class_notes(counts: Counter[str]) -> list[str]:
    """What the numbers of photos in the classes will do to the result."""
    notes = [
        f"class {label!r} has {count} photo(s): its numbers will mean little"
        for label, count in sorted(counts.items())
        if count < TINY_CLASS
    ]
    if counts and max(counts.values()) >= IMBALANCE * min(counts.values()):
        (most, many), (least, few) = counts.most_common(1)[0], counts.most_common()[-1]
        notes.append(
            f"class {most!r} has {many:,} photos and {least!r} {few}: accuracy will speak for the "
            "large class, balanced accuracy for both"
        )
    return notes
