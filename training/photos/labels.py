"""Labels that look alike: `Shoes` and `shoes`, `dress ` and `dress`, two ways to write `é`.

A label is kept in Unicode's composed form (NFC), whichever a system or a list uses. Others that
differ only in case, spaces, hyphens, underscores or characters that cannot be seen are named,
and joined if asked: to the spelling that most photos have.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.bundles.fields import check_letters
from models.errors import PhotosError
from training.photos.listing import Photo
from training.settings.printable import printable

MERGE = "--merge-names"
_SHOWN = 5  # groups that a note names


def composed(label: str) -> str:
    """The label in Unicode's composed form."""
    return unicodedata.normalize("NFC", label)


def look_alike_key(label: str) -> str:
    """What labels have in common that a reader would take for one."""
    text = unicodedata.normalize("NFKC", label)
    seen = (" " if c.isspace() or c in "_-" else c for c in text if not _invisible(c))
    return " ".join("".join(seen).casefold().split())


def join_labels(photos: Sequence[Photo], merge: bool) -> tuple[list[Photo], list[str]]:
    """Compose labels, and join those that look alike if `merge`; returns notes on them, too.

    Raises:
        PhotosError: a label cannot be shown as text, or is longer than a bundle's may be.
    """
    photos = [replace(photo, label=composed(photo.label)) for photo in photos]
    counts = Counter(photo.label for photo in photos)
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        groups[look_alike_key(label)].append(label)
    alike = [labels for labels in groups.values() if len(labels) > 1]
    names: dict[str, str] = {}
    for labels in groups.values():
        chosen = max(
            labels, key=lambda label: (label.isprintable(), counts[label], label == label.strip())
        )
        names |= dict.fromkeys(labels, " ".join(_visible(chosen).split()) or chosen)
    if merge:
        photos = [replace(photo, label=names[photo.label]) for photo in photos]
    labels = sorted({photo.label for photo in photos})
    for label in labels:
        _check_text(label)
    try:
        check_letters(labels)
    except ValueError as error:
        raise PhotosError(f"names of classes: {error}: shorten them") from None
    told = [
        " and ".join(f"'{printable(label)}' ({counts[label]:,})" for label in labels)
        for labels in alike[:_SHOWN]
    ]
    more = f" and {len(alike) - _SHOWN:,} more" if len(alike) > _SHOWN else ""
    if not alike:
        return photos, []
    if merge:
        joined = ", ".join(f"'{names[labels[0]]}'" for labels in alike[:_SHOWN])
        return photos, [f"joined classes that look alike to {joined}{more}: {'; '.join(told)}"]
    return photos, [
        f"classes look alike: {'; '.join(told)}{more}: rename one, or pass {MERGE} to join them"
    ]


def match_labels(labels: Iterable[str], class_names: Sequence[str], merge: bool) -> dict[str, str]:
    """Label -> the name that a model has for it, for those that it knows.

    One text in two forms of Unicode is one name; what only looks alike is, if `merge`.
    """
    exact = {composed(name): name for name in class_names}
    alike = defaultdict(list)
    for name in class_names:
        alike[look_alike_key(name)].append(name)
    found = {}
    for label in labels:
        near = alike.get(look_alike_key(label), []) if merge else []
        if composed(label) in exact:
            found[label] = exact[composed(label)]
        elif len(near) == 1:
            found[label] = near[0]
    return found


def look_alikes(labels: Iterable[str], class_names: Sequence[str]) -> list[str]:
    """Say which of some unknown labels look like a known name: `'shoes' looks like 'Shoes'`."""
    keys = {look_alike_key(name): name for name in class_names}
    return [
        f"'{printable(label)}' looks like '{printable(keys[key])}'"
        for label in labels
        if (key := look_alike_key(label)) in keys
    ]


def _check_text(label: str) -> None:
    if not all(c.isprintable() or c in "\u200c\u200d" for c in label):
        raise PhotosError(
            f"class '{printable(label)}' has a name with characters that cannot be shown: rename "
            f"its folder, or pass {MERGE}, which leaves them out"
        )


def _invisible(character: str) -> bool:
    """Whether a character takes no place: format marks, controls, selectors of a glyph's form."""
    kind = unicodedata.category(character)
    return (
        kind in ("Cf", "Cs")
        or (kind == "Cc" and not character.isspace())
        or ("\ufe00" <= character <= "\ufe0f")
    )


def _visible(label: str) -> str:
    """A label without what cannot be seen; letters that joiners shape keep them."""
    if label.isprintable():
        return label
    return "".join(c for c in label if c in "\u200c\u200d" or not _invisible(c))
