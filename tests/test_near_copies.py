"""Near copies: what counts as the same picture, on photos whose every change is made here."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.images import Decoded
from training.doctor.near_copies import NearCopy, find_near_copies
from training.doctor.overlay import compare_thumbnails
from training.features.thumbnails import SIDE, Appearance, as_pixels, measure_appearance


def scene(seed: int, side: int = 240) -> Image.Image:
    """Blots of colour on a ground of another: no two seeds alike."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def shrunk(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BOX))


def find(photos: list[Image.Image], vectors: np.ndarray | None = None) -> list[NearCopy]:
    """Near copies among photos whose features are all alike, unless given."""
    if vectors is None:  # one direction each way: centred, half of them stay together
        vectors = np.ones((len(photos), 8), np.float32)
        vectors[-1] = -1
    thumbnails = {bytes([i]): shrunk(photo) for i, photo in enumerate(photos)}
    appearances = {
        digest: Appearance(240, 240, "PNG", float(pixels.std(axis=(0, 1)).max()))
        for digest, pixels in thumbnails.items()
    }
    return find_near_copies(
        vectors,
        list(thumbnails),
        appearances,
        lambda digests: np.stack([thumbnails[d] for d in digests]),
    )


def saved_again(photo: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


CHANGES = {
    "saved again": saved_again,
    "half the size": lambda photo: photo.resize((120, 120)),
    "cropped by 4 % on two sides": lambda photo: photo.crop((10, 0, 240, 230)),
    "cropped all around": lambda photo: photo.crop((8, 8, 232, 232)),
    "mirrored": ImageOps.mirror,
    "mirrored and cropped": lambda photo: ImageOps.mirror(photo).crop((0, 6, 232, 240)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_other_scenes(change):
    photos = [scene(1), scene(2), CHANGES[change](scene(1)), scene(3)]
    (found,) = find(photos)
    assert (found.one, found.other) == (0, 2)
    assert found.mirrored == change.startswith("mirrored")


def test_other_scenes_are_no_copies_however_alike_their_features():
    assert find([scene(seed) for seed in range(8)]) == []


def test_a_copy_whose_features_are_unlike_is_none():
    vectors = np.eye(4, dtype=np.float32)
    assert find([scene(1), scene(1), scene(2), scene(3)], vectors) == []


def test_photos_of_one_colour_show_nothing_to_compare():
    plain = [Image.new("RGB", (240, 240), (n, 0, 0)) for n in range(5)]
    assert find(plain) == []


def test_the_same_picture_in_another_colour_is_no_copy():
    photo = scene(1)
    red, green, blue = photo.split()
    assert find([photo, Image.merge("RGB", (blue, red, green)), scene(2)]) == []


def test_a_shift_is_undone_before_pixels_are_compared():
    photo = scene(4)
    shifted = shrunk(photo.crop((15, 0, 240, 225)).resize((240, 240)))
    detail, difference = compare_thumbnails(shrunk(photo)[None], shifted[None])
    assert detail[0] > 0.95
    assert difference[0] < np.abs(shrunk(photo).astype(int) - shifted).mean() / 2


def test_one_photo_has_no_copies():
    assert find([scene(1)]) == []


def test_a_look_says_what_the_file_is_and_how_colourful():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 200
    decoded = Decoded(pixels, 90, 60, "BMP", alpha_ignored=True)
    appearance, thumbnail = measure_appearance(decoded)
    assert appearance == Appearance(90, 60, "BMP", 100.0, True)  # half 0, half 200
    kept = as_pixels([thumbnail, thumbnail])
    assert kept.shape == (2, SIDE, SIDE, 3)
    assert kept[:, 0].min() == 200
    assert kept[:, -1].max() == 0
