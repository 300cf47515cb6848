"""The tables of an AVIF or HEIC (ISO 14496-12, section 8.11): its items, and what belongs to each.

They are looked for everywhere, by name: boxes can be nested, and be long, in ways that decoders
take differently. What is named in several tables counts as the most costly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from models.decoding.image_stream import big_endian
from models.decoding.limits import Limits, check_limit

_TURNS = {b"irot", b"imir", b"clap"}  # properties by which a decoded picture is made anew


class Piece(NamedTuple):
    """A part of an item: where it may begin, counted from what, and its bytes."""

    in_idat: bool
    start: int
    length: int


@dataclass
class Owned:
    """What the properties of an item come to."""

    pixels: int = 0  # that they state
    size: int = 0  # bytes
    turns: int = 0


class _Property(NamedTuple):
    name: bytes
    pixels: int
    size: int


class Boxes:
    """The tables of one file, stepped through only so often: they may name one another's bytes."""

    def __init__(self, data: bytes, limits: Limits):
        self._data, self._limits = data, limits
        self._most, self._taken = 6 * limits.parts, 0

    def _take(self, count: int, unit: str) -> None:
        """Count steps. Raises ImageTooLarge."""
        self._taken += count
        check_limit(self._taken, self._most, unit)

    def bodies(self, name: bytes) -> Iterator[int]:
        """Where the content of each box of a name begins."""
        data, found = self._data, 0
        at = data.find(name)
        while at >= 0:
            found += 1
            check_limit(found, self._limits.parts, "items")
            long = data[max(0, at - 4) : at] == b"\0\0\0\1"  # its size follows its name, of 8 bytes
            body = at + (12 if long else 4)
            if body + 8 <= len(data):
                yield body
            at = data.find(name, at + 4)

    def _children(self, body: int, at: int, unit: str) -> Iterator[tuple[bytes, int, int]]:
        """The boxes in a box that begins at `body`, from `at` on: name, content, size in bytes."""
        data = self._data
        end = body - 8 + (big_endian(data, body - 8, 4) or len(data))
        found = 0
        while True:
            size, head = big_endian(data, at, 4), 8
            if size == 1:  # told by eight bytes after the name
                size, head = big_endian(data, at + 8, 8), 16
            if at + head > min(end, len(data)) or 0 < size < head:
                return
            found += 1
            check_limit(found, self._limits.parts, unit)
            self._take(1, unit)
            whole = min(size or len(data), len(data))  # 0: to the end
            yield data[at + 4 : at + 8], at + head, whole
            at += size or len(data)

    def kinds(self) -> dict[int, set[bytes]]:
        """The kinds of each item, by its number."""
        data = self._data
        kinds: dict[int, set[bytes]] = {}
        for at in self.bodies(b"infe"):
            version, of_number = data[at], 2 if data[at] < 3 else 4
            kind = at + 6 + of_number
            if version >= 2:  # before, items had no kind
                number = big_endian(data, at + 4, of_number)
                kinds.setdefault(number, set()).add(data[kind : kind + 4])
        return kinds

    def properties(self) -> dict[int, Owned]:
        """What is said of each item (`ipco`, by way of `ipma`)."""
        data = self._data
        lists = [self._listed(at) for at in self.bodies(b"ipco")]
        found: dict[int, Owned] = {}
        for at in self.bodies(b"ipma"):
            of_number, wide = (4 if data[at] else 2), data[at + 3] & 1
            count = big_endian(data, at + 4, 4)
            self._take(count, "items")
            at += 8
            for _ in range(count):
                number, of = big_endian(data, at, of_number), big_endian(data, at + of_number, 1)
                at += of_number + 1
                self._take(of // 16, "properties of items")
                owned = found.setdefault(number, Owned())
                for _ in range(of):
                    index = big_endian(data, at, 1 + wide) & (0x7FFF if wide else 0x7F)
                    at += 1 + wide
                    meant = [one[index] for one in lists if index in one]
                    owned.pixels = max([owned.pixels, *(one.pixels for one in meant)])
                    owned.size += max((one.size for one in meant), default=0)
                    owned.turns += any(one.name in _TURNS for one in meant)
        return found

    def _listed(self, body: int) -> dict[int, _Property]:
        """A list of properties, by their place, from 1."""
        found: dict[int, _Property] = {}
        for name, at, size in self._children(body, body, "properties of items"):
            wide, high = (big_endian(self._data, at + skip, 4) for skip in (4, 8))
            pixels = wide * high if name == b"ispe" else 0
            found[len(found) + 1] = _Property(name, pixels, size)
        return found

    def references(self) -> dict[tuple[bytes, int], list[int]]:
        """The items that an item names (`iref`), by the kind of reference and its number."""
        data = self._data
        found: dict[tuple[bytes, int], list[int]] = {}
        for body in self.bodies(b"iref"):
            of = 4 if data[body] else 2
            for name, at, _ in self._children(body, body + 4, "references of items"):
                source, count = big_endian(data, at, of), big_endian(data, at + of, 2)
                self._take(count, "references of items")
                at += of + 2
                named = [big_endian(data, at + of * one, of) for one in range(count)]
                found.setdefault((name, source), []).extend(named)
        return found

    def places(self) -> dict[int, list[tuple[Piece, ...]]]:
        """Where the pieces of each item lie, by its number, once for each table that names it."""
        data, limits = self._data, self._limits
        found: dict[int, list[tuple[Piece, ...]]] = {}
        for at in self.bodies(b"iloc"):
            version, sizes = data[at], big_endian(data, at + 4, 2)
            if version > 2:
                continue
            of_offset, of_length, of_base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
            of_index = sizes & 15 if version else 0
            of_number = 4 if version == 2 else 2
            count = big_endian(data, at + 6, of_number)
            check_limit(count, limits.parts, "items")
            self._take(count, "items")
            at += 6 + of_number
            for _ in range(count):
                number = big_endian(data, at, of_number)
                at += of_number
                method = big_endian(data, at, 2) & 15 if version else 0
                at += (4 if version else 2) + of_base
                base = big_endian(data, at - of_base, of_base)
                extents = big_endian(data, at, 2)
                at += 2
                check_limit(extents, limits.parts, "pieces of an item")
                self._take(extents, "pieces of items")
                pieces = []
                for _ in range(extents):
                    start = base + big_endian(data, at + of_index, of_offset)
                    length = big_endian(data, at + of_index + of_offset, of_length)
                    pieces.append(Piece(method == 1, start, length))
                    at += of_index + of_offset + of_length
                found.setdefault(number, []).append(tuple(pieces))
        return found

    def contents(self, pieces: tuple[Piece, ...], most: int | None = None) -> Iterator[bytes]:
        """The bytes of an item, wherever its pieces may lie; of each piece no more than `most`."""
        data, inside = self._data, any(piece.in_idat for piece in pieces)
        longest = len(data) if most is None else most
        for at in self.bodies(b"idat") if inside else [0]:
            self._take(len(pieces), "pieces of items")
            yield b"".join(
                data[start : start + min(one.length or longest, longest)]
                for one in pieces
                for start in [(at if one.in_idat else 0) + one.start]
            )
