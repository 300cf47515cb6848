"""Shards: the photos of Parquet and of tar, read one by one, are those of the folder."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import PhotosError
from models.images import Framing
from models.runtime import Graph
from tests.making import colour_bundle, picture, write_classes
from tests.packing import packed, write_parquet, write_tar
from tests.stores import put
from training.features.cache import FeatureCache
from training.features.compute import compute_features, place_of
from training.photos.find import find_files, find_photos
from training.photos.shards import parquet, tar
from training.places.address import as_place

arrow = pytest.importorskip("pyarrow", reason="needs requirements-scale.txt")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four photos in each of three classes."""
    return write_classes(tmp_path / "photos", 4)


@pytest.mark.parametrize("form", ["tar", "structs", "bytes"])
@pytest.mark.parametrize("remote", [False, True], ids=["here", "elsewhere"])
def test_a_shard_has_the_features_of_its_folder(form, remote, folder, tmp_path, memory):
    shard = packed(folder, form, tmp_path)
    source = put(f"{memory}/{shard.name}", shard.read_bytes()) if remote else shard
    graph = Graph(Bundle(colour_bundle(tmp_path / "colours")).read("predict.onnx"))
    found = []
    for number, photos in enumerate((find_photos(folder).photos, find_photos(source).photos)):
        cache = FeatureCache(tmp_path / f"cache{number}", "x", "y", Framing(32))
        found.append(compute_features(photos, graph, cache, 2))
        known = compute_features(photos, graph, cache, 2)
        assert (known.computed, len(known.photos)) == (0, 12)  # unchanged, and from the cache
        cache.close()
    plain, inside = found
    assert inside.skipped == []
    assert [photo.label for photo in inside.photos] == [photo.label for photo in plain.photos]
    assert inside.digests == plain.digests
    np.testing.assert_array_equal(inside.vectors, plain.vectors)


def test_one_photo_is_read_without_its_shard(folder, tmp_path, monkeypatch):
    shard = packed(folder, "tar", tmp_path)
    photo = find_photos(shard).photos[5].path
    asked = []
    real_read = tar.read_range

    def read_range(path, start, end):
        asked.append(end - start)
        return real_read(path, start, end)

    monkeypatch.setattr(tar, "read_range", read_range)
    content = photo.read_bytes()
    assert content == (folder / "green/001.png").read_bytes()
    assert asked == [len(content)] == [photo.stat().st_size]


def test_a_row_group_is_decoded_once_for_its_rows(folder, tmp_path, monkeypatch):
    photos = find_photos(packed(folder, "structs", tmp_path)).photos
    opened = []
    real_open = parquet._open

    def open_table(shard):
        opened.append(shard)
        return real_open(shard)

    monkeypatch.setattr(parquet, "_open", open_table)
    parquet._images.cache_clear()
    for photo in photos:
        photo.path.read_bytes()
    assert len(opened) == 6  # of two rows each


def test_a_packed_photo_is_named_by_its_shard_and_travels(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packed(folder, "tar", tmp_path)
    photo = find_photos(Path("000.tar")).photos[0].path
    assert str(photo) == "000.tar!/blue/000.png"
    assert place_of(photo) == f"{tmp_path}/000.tar!/blue/000.png".encode()
    again = pickle.loads(pickle.dumps(photo))
    assert again.read_bytes() == photo.read_bytes() == (folder / "blue/000.png").read_bytes()
    assert again.stat() == photo.stat()
    with pytest.raises(FileNotFoundError):
        photo.parent.stat()


def test_a_changed_shard_is_another_one(folder, tmp_path):
    shard = packed(folder, "tar", tmp_path)
    before = find_photos(shard).photos[0].path.stat().st_mtime_ns
    write_tar(shard, [("a.png", picture((9, 9, 9))), ("a.cls", b"x")])
    assert find_photos(shard).photos[0].path.stat().st_mtime_ns != before


LABELS = {
    "a class": ([("7.cls", b"cat\n")], "cat"),
    "a number": ([("7.cls", b"3")], "3"),
    "json": ([("7.json", b'{"caption": "a cat", "label": "cat"}')], "cat"),
    "a number in json": ([("7.json", b'{"Label": 3}')], "3"),
    "a text": ([("7.txt", "Kätzchen".encode())], "Kätzchen"),
    "class before json": ([("7.json", b'{"label": "dog"}'), ("7.cls", b"cat")], "cat"),
    "nothing": ([], None),
    "a caption": ([("7.txt", b"word " * 100)], None),
    "broken json": ([("7.json", b"{")], None),
    "deep json": ([("7.json", b"[" * 90_000)], None),
    "json of a list": ([("7.json", b"[1]")], None),
    "true": ([("7.json", b'{"label": true}')], None),
    "no text": ([("7.cls", b"\xff\xfe\xff")], None),
}


@pytest.mark.parametrize("case", LABELS)
def test_a_tar_says_the_label_in_any_of_its_ways(case, tmp_path):
    members, label = LABELS[case]
    photo = picture((9, 9, 9))
    whole = [("1.jpg", photo), ("1.cls", b"other"), ("7.jpg", photo), *members, ("8.jpg", photo)]
    found = find_photos(write_tar(tmp_path / "a.tar", whole))
    known = {one.path.name: one.label for one in found.photos}
    assert known == {"1.jpg": "other"} | ({"7.jpg": label} if label else {})
    assert {item.kind for item in found.skipped} == {"bad-row"}  # 8.jpg, at least
    assert len(find_files(tmp_path / "a.tar", tmp_path / "out")[0]) == 3  # labelled or not


def test_sides_come_from_names_of_files_and_folders(folder, tmp_path):
    content = packed(folder, "tar", tmp_path).read_bytes()
    layouts = {
        "numbered": ["train-00000-of-00002.tar", "train-00001-of-00002.tar", "test-00000.tar"],
        "named": ["flowers-train-000000.tar", "flowers-val-000000.tar"],
        "hashed": ["data/train-00000-of-00001-4ab0c1d2e3f40516.tar", "data/test-0.tar"],
        "folders": ["default/train/0000.tar", "default/validation/0000.tar"],
        "plain": ["000.tar", "001.tar"],
    }
    found = {}
    for layout, names in layouts.items():
        for name in names:
            (tmp_path / layout / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / layout / name).write_bytes(content)
        (tmp_path / layout / "README.md").touch()
        photos = find_photos(tmp_path / layout).photos
        found[layout] = [photos[12 * number].side for number in range(len(names))]
    assert found == {
        "numbered": ["test", "train", "train"],
        "named": ["train", "validation"],
        "hashed": ["test", "train"],
        "folders": ["train", "validation"],
        "plain": [None, None],
    }


def test_an_archive_beside_class_folders_makes_no_shards_of_them(folder, tmp_path):
    (folder / "backup.tar").write_bytes(packed(folder, "tar", tmp_path).read_bytes())
    assert len(find_photos(folder).photos) == 12
    assert {item.path.name for item in find_photos(folder).skipped} == {"backup.tar"}


def test_a_table_may_have_sides_groups_and_labels_in_words(tmp_path):
    photos = [picture((9, 9, n)) for n in range(4)]
    columns = {"split": ["train", "train", "test", "valid"], "group": ["a", "a", "b", None]}
    labels = arrow.array(["cat", "dog", None, "dog"]).dictionary_encode()
    found = find_photos(write_parquet(tmp_path / "t.parquet", photos, labels, **columns))
    assert [(one.label, one.side, one.group) for one in found.photos] == [
        ("cat", "train", "a"),
        ("dog", "train", "a"),
        ("dog", "validation", ""),
    ]
    assert [(item.path.name, item.kind) for item in found.skipped] == [("000000002", "bad-row")]


def test_a_number_without_a_name_is_no_label_where_others_have_names(tmp_path):
    shard = write_parquet(
        tmp_path / "t.parquet", [picture((9, 9, n)) for n in range(3)], [1, -1, 0], ["cat", "dog"]
    )
    found = find_photos(shard)
    assert [one.label for one in found.photos] == ["dog", "cat"]
    assert len(found.skipped) == 1


def test_a_row_whose_bytes_lie_elsewhere_is_named(tmp_path):
    cells = [{"bytes": None, "path": "a.jpg"}, {"bytes": picture((9, 9, 9)), "path": "b.jpg"}]
    first, second = find_photos(write_parquet(tmp_path / "t.parquet", cells, ["x", "y"])).photos
    with pytest.raises(FileNotFoundError, match="has no bytes of it"):
        first.path.read_bytes()
    assert second.path.name == "000000001-b.jpg"
    assert len(second.path.read_bytes()) > 0


def test_a_table_without_images_or_labels_says_what_it_has(tmp_path):
    shard = tmp_path / "t.parquet"
    from pyarrow import parquet as pq

    pq.write_table(arrow.table({"text": ["a"], "label": [1]}), shard)
    with pytest.raises(PhotosError, match=r"expected a column image.*found text \(string\), label"):
        find_photos(shard)


def test_a_row_group_that_cannot_be_held_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_GROUP", 100)
    with pytest.raises(PhotosError, match="write it with fewer rows in a group"):
        find_photos(packed(folder, "bytes", tmp_path))


def test_a_damaged_table_is_named(folder, tmp_path):
    shard = packed(folder, "bytes", tmp_path)
    content = shard.read_bytes()
    shard.write_bytes(content[:-40] + b"x" * 40)
    with pytest.raises(PhotosError, match="no whole Parquet file"):
        find_photos(shard)
    good = find_photos(write_parquet(shard, [picture((9, 9, 9))] * 2, ["x", "y"])).photos
    damaged = bytearray(shard.read_bytes())
    damaged[10:200] = bytes(190)
    shard.write_bytes(bytes(damaged))
    parquet._images.cache_clear()
    with pytest.raises(OSError, match="row group 0 cannot be read"):
        good[0].path.read_bytes()


def test_shards_elsewhere_are_listed_by_large_ranges(folder, tmp_path, memory, monkeypatch):
    shard = packed(folder, "tar", tmp_path)
    put(f"{memory}/set/train-0.tar", shard.read_bytes())
    put(f"{memory}/set/test-0.tar", shard.read_bytes())
    top = as_place(f"{memory}/set")
    sides = [photo.side for photo in find_photos(top).photos]
    assert sides == ["test"] * 12 + ["train"] * 12
