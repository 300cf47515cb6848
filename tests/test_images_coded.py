"""A picture of an AVIF or HEIC costs what it is coded with, not what its file states."""

import io
import struct
import time
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from models.decoding.heif.av1 import Coded, coded_size
from models.decoding.heif.items import check_items
from models.errors import ImageError, ImageTooLarge
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from tests.test_images_items import box, container, iloc, infe
from tests.test_images_kinds import HEIC

SMALL = Framing(16)


def limits(pixels):
    return Limits(pixels=pixels, formats=FORMATS + MORE_FORMATS)


def avif(width, height, mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, (width, height), 99).save(file, "AVIF", speed=10, quality=1, **options)
    return file.getvalue()


def stating(data, width, height):
    """The same file, whose properties state another size; what is coded stays as it is."""
    at = data.find(b"ispe")
    size = struct.pack(">II", width, height)
    return data.replace(data[at : at + 16], data[at : at + 8] + size)


def grid(tile, rows, columns, width, height, idat=False):
    """A grid of tiles with the bytes of one AVIF each, which states tiles of 64 x 64."""
    start = tile.rfind(b"mdat") + 4
    av1, count = tile[start:], rows * columns
    config = tile[tile.find(b"av1C") - 4 :]
    config = config[: struct.unpack(">I", config[:4])[0]]
    ispe = [box(b"ispe", struct.pack(">III", 0, *one)) for one in ((width, height), (64, 64))]
    tiles = range(2, 2 + count)
    named = [(1, [1]), *((one, [2, 0x83]) for one in tiles)]
    owned = b"".join(struct.pack(">HB", one, len(of)) + bytes(of) for one, of in named)
    shape = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)

    def file(at):
        places = [(1, at, 8), *((one, at + 8 + (one - 2) * len(av1), len(av1)) for one in tiles)]
        version = 1 if idat else 0
        table = struct.pack(">B3xBBH", version, 0x44, 0, len(places))
        for one, begins, size in places:
            table += struct.pack(">HHHHII", one, 1, 0, 1, begins, size) if idat else (
                struct.pack(">HHHII", one, 0, 1, begins, size)
            )  # fmt: skip
        kinds = [infe(1, b"grid"), *(infe(one, b"av01") for one in tiles)]
        iinf = box(b"iinf", struct.pack(">IH", 0, len(kinds)) + b"".join(kinds))
        refers = struct.pack(f">HH{count}H", 1, count, *tiles)
        return (
            box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, 1)),
            box(b"iloc", table),
            iinf,
            box(b"iref", bytes(4) + box(b"dimg", refers)),
            box(
                b"iprp",
                box(b"ipco", b"".join([*ispe, config]))
                + box(b"ipma", struct.pack(">II", 0, len(named)) + owned),
            ),
        )

    content = shape + av1 * count
    if idat:
        return container(*file(0), box(b"idat", content))
    return container(*file(len(container(*file(0))) + 8)) + box(b"mdat", content)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_an_avif_that_states_less_than_it_holds_is_refused_by_what_it_holds(subsampling):
    data = avif(320, 200, subsampling=subsampling)
    lying = stating(data, 64, 64)
    assert decode_image(data, SMALL, limits(64_000)).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="64,000 pixels in a picture, as it is coded"):
        decode_image(lying, SMALL, limits(20_000))


def test_memory_is_asked_for_what_is_coded():
    asked = []

    def room(size_bytes):
        asked.append(size_bytes)
        return nullcontext()

    for data in (avif(320, 200), stating(avif(320, 200), 64, 64)):
        decode_image(data, SMALL, limits(64_000), room)
    assert min(asked) >= 64_000 * 9


@pytest.mark.parametrize("idat", [False, True], ids=["in mdat", "in idat"])
def test_tiles_of_a_grid_are_added_up_by_what_they_hold(idat):
    tile = avif(128, 128)
    assert check_items(grid(tile, 2, 2, 128, 128, idat), limits(16_384)) == 16_384
    with pytest.raises(ImageTooLarge, match=r"147,456 pixels in all its pictures; .* 65,536"):
        check_items(grid(tile, 3, 3, 192, 192, idat), limits(16_384))
    with pytest.raises(ImageTooLarge, match="16,384 pixels in a picture, as it is coded"):
        check_items(grid(tile, 1, 1, 64, 64, idat), limits(10_000))


def test_a_grid_that_a_decoder_reads_is_measured_as_it_is_coded():
    data = grid(stating(avif(64, 64), 64, 64), 2, 2, 128, 128)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (128, 128)
    assert check_items(data, limits(16_384)) == 128 * 128  # room for all tiles is made first
    assert decode_image(data, SMALL, limits(16_384)).shape == (16, 16, 3)


def test_alpha_counts_as_a_picture_and_has_room():
    data = avif(160, 100, "RGBA")
    assert check_items(data, limits(16_000)) == 16_000
    assert decode_image(data, SMALL, limits(16_000)).shape == (16, 16, 3)


def test_the_first_frame_of_a_sequence_is_measured():
    frames = [Image.fromarray(np.full((100, 160, 3), shade, np.uint8)) for shade in (0, 90, 200)]
    file = io.BytesIO()
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:], speed=10)
    assert 16_000 <= check_items(file.getvalue(), limits(16_000)) <= 4 * 16_000
    assert decode_image(file.getvalue(), SMALL, limits(16_000)).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="16,000 pixels in a picture, as it is coded"):
        check_items(file.getvalue(), limits(10_000))


def test_a_heic_counts_by_the_sizes_that_it_states():
    assert check_items(HEIC, limits(3_072)) == 64 * 64  # coded in blocks; 64 x 48 are shown
    larger = stating(HEIC, 128, 128)
    with pytest.raises(ImageTooLarge, match="16,384 pixels in a picture, as it is coded"):
        check_items(larger, limits(3_072))


def test_a_size_is_found_behind_a_long_property():
    long = struct.pack(">I4sQ", 1, b"free", 16)
    ispe = box(b"ispe", struct.pack(">III", 0, 300, 200))
    owned = struct.pack(">IIHB", 0, 1, 7, 1) + b"\x02"
    data = container(infe(7, b"hvc1"), box(b"ipco", long + ispe), box(b"ipma", owned))
    assert check_items(data, limits(60_000)) == 60_000


def test_a_stream_without_a_sequence_header_has_no_size():
    assert coded_size(b"", 10) == coded_size(b"\x12\x00", 10) == Coded(0, 0)
    assert coded_size(b"\x0a", 10).stated == 1  # cut off: zeros follow
    with pytest.raises(ImageTooLarge, match="11 units of AV1"):
        coded_size(b"\x12\x00" * 11, 10)


def test_pictures_that_share_their_bytes_again_and_again_are_refused():
    shared = [(one, [100_000 - one]) for one in range(1, 900)]
    kinds = [infe(one, b"av01") for one in range(1, 900)]
    data = container(*kinds, iloc(shared)) + bytes(100_000)
    began = time.process_time()
    with pytest.raises(ImageError):
        check_items(data, limits(1_000_000))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(("kind", "most"), [(b"hvc1", 80), (b"av01", 160)])
def test_tiles_that_are_one_and_the_same_count_as_often_as_they_are_decoded(kind, most):
    def checked(count):
        tiles = [(one, [100_000]) for one in range(count)]
        kinds = [infe(one, kind) for one in range(count)]
        return check_items(container(*kinds, iloc(tiles)) + bytes(100_000), limits(1_000_000))

    assert checked(most) >= 0
    with pytest.raises(ImageTooLarge, match="bytes of coded pictures"):
        checked(most + 1)


@pytest.mark.parametrize("name", [b"iloc", b"ipma", b"ipco"])
def test_tables_that_overlap_are_stepped_through_only_so_often(name):
    body = {
        b"iloc": bytes(8) + bytes(4) + b"\x44\x00" + struct.pack(">H", 900) + bytes(4),
        b"ipma": bytes(8) + bytes(4) + struct.pack(">I", 900) + b"\xff" * 4,
        b"ipco": struct.pack(">QI4s", 24, 8, b"free"),  # a long box
    }[name]
    data = box(b"ftyp", b"avif" + bytes(4)) + (struct.pack(">I", 1) + name + body) * 900
    began = time.process_time()
    with pytest.raises(ImageTooLarge):
        check_items(data + bytes(100_000), limits(1_000_000))
    assert time.process_time() - began < 2
