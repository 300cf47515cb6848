"""Tars of strangers: headers that claim anything, names that lead anywhere."""

import struct
import tarfile

import pytest

from models.errors import ImageTooLarge, PhotosError
from models.images import Limits
from tests.making import picture
from tests.packing import write_tar
from training.photos.find import find_files, find_photos
from training.places.reading import read_photo


def header(name=b"a.jpg", size=b"00000000010", kind=b"0"):
    """A tar's header with any claims, and a right checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


BACK = struct.pack(">Bxxxq", 0xFF, -512)  # a size below zero, as GNU tar writes numbers
HOSTILE = {
    "no tar": b"not a tar" * 200,
    "cut off": header() + b"x" * 5,
    "a name of a gigabyte": header(b"././@LongLink", b"07777777777", b"L") + bytes(2_000_000),
    "extended headers of a gigabyte": header(b"x", b"07777777777", b"x") + bytes(2_000_000),
    "extended headers without end": header(b"x", b"00000000000", b"x") * 3_000,
    "a size that leads back": header(size=BACK) * 4,
    "an extended header that leads back": header(b"x", BACK, b"x") * 4,
    "numbers that are none": header(b"x", b"00000000022", b"x") + b"18 size=-9999999\n".ljust(512),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tar_ends_as_an_error_and_what_came_before_counts(case, tmp_path):
    shard = tmp_path / "a.tar"
    shard.write_bytes(HOSTILE[case])
    with pytest.raises(PhotosError, match="holds no labelled photo in shards"):
        find_photos(shard)
    whole = write_tar(tmp_path / "b.tar", [("1.png", picture((9, 9, 9))), ("1.cls", b"x")])
    content = whole.read_bytes()
    shard.write_bytes(content[: content.rindex(b"1.cls") + 1024] + HOSTILE[case])
    found = find_photos(shard)
    assert [photo.label for photo in found.photos] == ["x"]
    assert all(item.kind in ("unreadable", "bad-row") for item in found.skipped)


def test_names_in_a_tar_lead_nowhere(tmp_path):
    photo = picture((9, 9, 9))
    members = [("../../etc/a.png", photo), ("../../etc/a.cls", b"x")]
    members += [("/etc/b.png", photo), ("/etc/b.cls", b"x")]
    found = find_photos(write_tar(tmp_path / "a.tar", members))
    assert [str(one.path.relative_to(tmp_path)) for one in found.photos] == [
        "a.tar!/etc/a.png",
        "a.tar!/etc/b.png",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tar"]


def test_a_link_in_a_tar_is_no_photo(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    assert find_files(path, tmp_path / "out") == ([], [])


def test_a_member_that_is_too_large_is_not_read(tmp_path):
    shard = write_tar(tmp_path / "a.tar", [("1.png", b"x" * 2_000), ("1.cls", b"x")])
    photo = find_photos(shard).photos[0].path
    with pytest.raises(ImageTooLarge, match="2,000 bytes"):
        read_photo(photo, Limits(size_bytes=1_000))
