"""How the pictures in an AVIF or HEIC are made of one another, where no camera makes them so.

A decoder follows what a picture names, and decodes it again each time: a few hundred bytes can
double the work with each level, or hang one alpha plane on a thousand tiles. A photo is a picture,
or a grid of tiles, with alpha, depth and gain map beside it, each of which may be a grid. So each
picture may be a part of one other, and few levels are followed.
"""

from models.errors import ImageUnsupported

MADE = {b"grid", b"iovl", b"iden", b"tmap", b"tili", b"sato"}  # kinds of items made of others
LEVELS = 3  # above a picture: the alpha of a tile of a grid that is the depth of a photo
_NEVER = {b"iovl", b"tili", b"sato"}  # overlays, tiles within an item, sums: no camera writes them
_TONES = b"tmap"  # a photo and its gain map, as one brighter picture; decoders show the photo
_REMEDY = "save it as JPEG or PNG"

Kinds = dict[int, set[bytes]]
References = dict[tuple[bytes, int], list[int]]


def check_made(kinds: Kinds, references: References) -> None:
    """Refuse pictures that are made of others in ways that cost more than all of them once.

    Raises:
        ImageUnsupported.
    """
    if any(of & _NEVER for of in kinds.values()):
        raise ImageUnsupported(f"pictures laid over each other: {_REMEDY}")
    part_of: dict[int, int] = {}
    for (name, source), named in references.items():
        if name not in (b"dimg", b"auxl"):
            continue
        if len(set(named)) < len(named):
            raise ImageUnsupported(f"a picture that names another twice: {_REMEDY}")
        for one in named:
            whole, part = (source, one) if name == b"dimg" else (one, source)
            if _is_tones(part, kinds) or (name == b"dimg" and _is_nested(whole, part, kinds)):
                raise ImageUnsupported(f"a picture made of pictures that are made: {_REMEDY}")
            if _is_tones(whole, kinds):
                continue
            if part_of.setdefault(part, whole) != whole:
                raise ImageUnsupported(f"a picture that is a part of two others: {_REMEDY}")
    for start in part_of:
        at, levels = start, 0
        while at in part_of:
            at, levels = part_of[at], levels + 1
            if levels > LEVELS:
                raise ImageUnsupported(f"pictures in pictures, on {levels} levels: {_REMEDY}")


def _is_tones(number: int, kinds: Kinds) -> bool:
    """Whether an item is nothing but a photo with its gain map."""
    return kinds.get(number) == {_TONES}


def _is_nested(whole: int, part: int, kinds: Kinds) -> bool:
    """Whether a made picture is to be made into another."""
    return not _is_tones(whole, kinds) and bool(kinds.get(part, set()) & MADE)
