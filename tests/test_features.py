"""Each photo once through the network: what is computed, remembered, skipped and kept."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.images import Framing, Limits, decode_image
from models.runtime import Graph
from tests.making import COLOURS, DEFECTS, colour_graph, picture, write_classes, write_defects
from training.features.cache import FeatureCache
from training.features.compute import Features, compute_features
from training.photos.find import Photo, find_photos

FRAMING = Framing(16)


class Counting(Graph):
    """The graph of mean colours, which counts the photos it sees."""

    def __init__(self) -> None:
        super().__init__(colour_graph())
        self.seen: list[np.ndarray] = []  # appending is safe from several threads

    def run(self, photos, outputs):
        self.seen.extend(photos)
        return super().run(photos, outputs)


@pytest.fixture
def graph() -> Counting:
    return Counting()


@pytest.fixture
def compute(tmp_path: Path, graph: Counting) -> Callable[..., Features]:
    """compute_features with a cache in this test's own folder."""

    def run(photos: list[Photo], workers: int = 2, cache: str = "cache", limits=Limits(), **more):
        opened = FeatureCache(tmp_path / cache, "colours", "by hand", FRAMING, limits)
        try:
            return compute_features(photos, graph, opened, workers, **more)
        finally:
            opened.close()

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Class folders red, green and blue with four photos each."""
    return write_classes(tmp_path / "photos", 4)


def photos_in(folder: Path) -> list[Photo]:
    return find_photos(folder).photos


def test_features_are_the_networks_own_bit_for_bit_fresh_and_remembered(compute, folder):
    photos = photos_in(folder)
    plain = Graph(colour_graph())
    pixels = [decode_image(photo.path.read_bytes(), FRAMING) for photo in photos]
    direct = np.stack([plain.run(photo[None], ["features"])[0][0] for photo in pixels])
    for found in (compute(photos), compute(photos)):
        assert found.vectors.tobytes() == direct.tobytes()
        assert found.vectors.shape == (12, 3)
        assert found.photos == photos
    assert direct[0].argmax() == 2  # blue comes first in the alphabet: the rows are not mixed up


def test_one_thread_and_four_give_the_same_features_in_the_same_order(compute, folder):
    photos = photos_in(folder)
    one, four = (compute(photos, workers=n, cache=f"cache{n}") for n in (1, 4))
    assert one.vectors.tobytes() == four.vectors.tobytes()
    assert one.digests == four.digests
    assert len(set(one.digests)) == 12


def test_a_second_run_computes_nothing_and_opens_no_file(compute, graph, folder):
    photos = photos_in(folder)
    first = compute(photos)
    assert first.computed == len(graph.seen) == 12
    for photo in photos:  # same size, same time, other bytes: opening one would change the result
        status = photo.path.stat()
        photo.path.write_bytes(b"x" * status.st_size)
        os.utime(photo.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = compute(photos)
    assert second.computed == 0
    assert len(graph.seen) == 12
    assert second.vectors.tobytes() == first.vectors.tobytes()
    assert second.digests == first.digests


def test_what_a_photo_looks_like_is_remembered_with_its_features(compute, folder, tmp_path):
    found = compute(photos_in(folder))
    cache = FeatureCache(tmp_path / "cache", "colours", "by hand", FRAMING)
    appearances, thumbnails = cache.appearances(), cache.thumbnails(found.digests)
    cache.close()
    assert set(appearances) == set(found.digests)
    assert {each[:3] for each in appearances.values()} == {(40, 40, "PNG")}
    colours = thumbnails.mean(axis=(1, 2))
    assert np.abs(colours - found.vectors).max() < 2  # the graph's features are mean colours


def test_a_moved_photo_is_found_by_its_content(compute, graph, folder):
    first = compute(photos_in(folder))
    folder.rename(folder.with_name("moved"))
    photos = photos_in(folder.with_name("moved"))
    second = compute(photos)
    assert len(graph.seen) == 12  # all of them in the first run
    assert second.vectors.tobytes() == first.vectors.tobytes()
    assert second.photos == photos
    assert second.computed == 0  # read, but not computed


def test_a_photo_that_changed_is_computed_again(compute, graph, folder):
    compute(photos_in(folder))
    (folder / "red" / "000.png").write_bytes(picture((0, 250, 0)))
    second = compute(photos_in(folder))
    assert len(graph.seen) == 13
    assert second.vectors[8].tolist() == [0, 250, 0]  # the first red one, after 4 blue, 4 green


def test_what_is_remembered_and_what_is_new_keep_the_order_of_the_photos(compute, folder):
    photos = photos_in(folder)
    half = compute(photos[1::2])
    whole = compute(photos)
    assert whole.computed == 6
    assert whole.vectors[1::2].tobytes() == half.vectors.tobytes()
    assert whole.digests[1::2] == half.digests
    assert whole.vectors.argmax(axis=1).tolist() == [2] * 4 + [1] * 4 + [0] * 4


def test_progress_adds_up_to_every_photo_remembered_or_not(compute, folder):
    for _ in range(2):
        done: list[int] = []
        compute(photos_in(folder), progress=done.append)
        assert sum(done) == 12


def test_defective_files_are_skipped_with_their_reason_and_the_rest_goes_on(compute, folder):
    write_defects(folder / "red")
    found = compute(photos_in(folder))
    assert found.vectors.shape == (12, 3)
    assert {item.path.name for item in found.skipped} == set(DEFECTS)
    for item in found.skipped:
        assert DEFECTS[item.path.name][1] in item.reason
    assert [photo.path.name for photo in found.photos] == [f"{i:03}.png" for i in range(4)] * 3


def test_a_defective_file_that_was_mended_is_used(compute, folder):
    write_defects(folder / "red")
    compute(photos_in(folder))
    (folder / "red" / "empty.jpg").write_bytes(picture(COLOURS["red"], kind="JPEG"))
    assert len(compute(photos_in(folder)).photos) == 13


def test_a_file_that_vanished_and_one_that_is_a_folder_are_skipped(compute, folder):
    photos = photos_in(folder)
    photos[0].path.unlink()
    photos[1].path.unlink()
    photos[1].path.mkdir()
    found = compute(photos)
    assert len(found.photos) == 10
    reasons = {item.path: item.reason for item in found.skipped}
    assert reasons[photos[0].path] == "No such file or directory"
    assert reasons[photos[1].path] == "Is a directory"


def test_a_file_of_too_many_bytes_is_not_even_read(compute, graph, folder):
    size = (folder / "red" / "000.png").stat().st_size
    limits = Limits(size_bytes=size - 1)
    found = compute([Photo(folder / "red" / "000.png", "red")], limits=limits)
    assert found.skipped[0].reason == f"{size:,} bytes; the limit is {size - 1:,}"
    assert found.vectors.shape == (0, 0)
    assert not graph.seen


def test_a_file_listed_on_two_sides_is_answered_on_both(compute, folder):
    path = folder / "red" / "000.png"
    photos = [Photo(path, "red", side) for side in ("test", "train")]
    assert compute(photos).photos == photos  # the split then says which of them stays


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_no_unicode_is_no_obstacle(compute, folder):
    odd = folder / "red" / os.fsdecode(b"caf\xe9.png")  # Latin-1, as old archives have it
    shutil.copy(folder / "red" / "000.png", odd)
    for _ in range(2):
        assert len(compute([Photo(odd, "red")]).photos) == 1


def test_an_interrupt_keeps_what_was_computed(compute, graph, tmp_path):
    photos = photos_in(write_classes(tmp_path / "many", 34))  # 102: over one commit of 64
    done = 0

    def stop_at_70(count: int) -> None:
        nonlocal done
        done += count
        if done == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute(photos, progress=stop_at_70)
    graph.seen.clear()
    assert compute(photos).computed == len(graph.seen) == 32  # 102 - 70


GROWTH = """
import json, resource, sys
from pathlib import Path
from models.images import Framing
from models.runtime import Graph
from tests.making import colour_graph, picture
from training.features.cache import FeatureCache
from training.features.compute import compute_features
from training.photos.find import Photo

def peak_after(count):
    framing = Framing(224)
    cache = FeatureCache(folder / f"cache{count}", "colours", "by hand", framing)
    found = compute_features(photos[:count], graph, cache, 2)
    cache.close()
    assert len(found.photos) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

folder, graph = Path(sys.argv[1]), Graph(colour_graph())
photos = [Photo(folder / f"{number}.jpg", "red") for number in range(300)]
content = picture((200, 40, 40), 0, side=500, kind="JPEG")
for number, photo in enumerate(photos):
    photo.path.write_bytes(content + number.to_bytes(2))  # bytes after the end make it another
print(json.dumps([peak_after(30), peak_after(300)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kB there only")
def test_memory_does_not_grow_with_the_number_of_photos(tmp_path):
    command = [sys.executable, "-c", GROWTH, str(tmp_path)]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    few_kb, many_kb = json.loads(run.stdout)
    # 270 photos more: 203 MB decoded, 41 MB at the network's size, 3 kB of features
    assert many_kb - few_kb < 20_000
