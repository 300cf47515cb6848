"""Addresses as paths: found as folders are, read with patience, shown without credentials."""

import errno
import os
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import ImageTooLarge, PhotosError, SettingError
from models.images import Limits
from tests.folders import fill, labels_of, touch
from tests.making import write_classes
from tests.stores import SECRET, put, serving_s3, upload
from training.__main__ import check, fit
from training.features.compute import place_of
from training.photos.find import find_files, find_photos
from training.photos.listing import unreadable
from training.places import system
from training.places.address import Url, as_place
from training.places.place import Fact
from training.places.reading import read_photo
from training.places.stores import Hadoop
from training.places.system import SYSTEMS, Unreachable, attempt


def listed(source):
    """What is found of a source, by places below it."""
    found = find_photos(source)
    base = found.source if source.is_dir() else source.parent
    photos = [(p.path.relative_to(base).as_posix(), p.label, p.side) for p in found.photos]
    left = {(s.path.relative_to(base).as_posix(), s.kind) for s in found.skipped}
    return photos, left


LAYOUTS = {
    "class folders": lambda top: touch(fill(top, "cat", "dog/inner", "dog"), "readme.md", "x.jpg"),
    "sides": lambda top: fill(top, "train/cat", "train/dog", "test/cat", "test/dog"),
    "sides inside": lambda top: fill(top, "cat/train", "cat/test", "dog/train", "dog/test"),
    "a folder around": lambda top: fill(top, "photos/cat", "photos/dog"),
    "what systems leave": lambda top: touch(fill(top, "cat", "dog"), "cat/@eaDir/a.jpg", "dog/.x"),
    "a saved model": lambda top: touch(
        fill(top, "cat", "dog"), "old/manifest.json", "old/predict.onnx"
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_store_is_understood_as_the_same_folder_is(layout, tmp_path, memory):
    LAYOUTS[layout](tmp_path)
    assert listed(upload(tmp_path, f"{memory}/set")) == listed(tmp_path)


def test_a_list_names_photos_beside_it_above_it_and_by_address(tmp_path, memory):
    fill(tmp_path, "cat", "dog", "deep/fox", count=1)
    upload(tmp_path, f"{memory}/set")
    put(f"{memory}/else/owl.jpg", b"x")
    rows = ["image,label", "../cat/0.jpg,cat", "..\\dog\\0.jpg,dog", "fox/0.jpg,fox"]
    rows += ["memory://photos/else/owl.jpg,owl", "gone.jpg,cat", "fox,fox"]
    table = put(f"{memory}/set/deep/list.csv", "\n".join(rows).encode())
    found = find_photos(table)
    assert [(str(photo.path), photo.label) for photo in found.photos] == [
        ("memory://photos/set/cat/0.jpg", "cat"),
        ("memory://photos/set/dog/0.jpg", "dog"),
        ("memory://photos/set/deep/fox/0.jpg", "fox"),
        ("memory://photos/else/owl.jpg", "owl"),
    ]
    assert [(item.path.name, item.kind) for item in found.skipped] == [
        ("gone.jpg", "missing"),
        ("fox", "missing"),
    ]
    assert "a folder, not a file" in found.skipped[1].reason


def test_a_list_on_disk_may_name_addresses(tmp_path, memory):
    put(f"{memory}/a.jpg", b"a")
    put(f"{memory}/b.jpg", b"b")
    table = tmp_path / "list.csv"
    table.write_text(f"image,label\n{memory}/a.jpg,cat\n{memory}/b.jpg,dog\n", encoding="utf-8")
    assert labels_of(table) == {"cat": 1, "dog": 1}


def test_an_object_is_another_one_when_its_content_changed(memory):
    facts = []
    for content in (b"first", b"other", b"first"):
        put(f"{memory}/cat/0.jpg", content)
        facts.append(find_files(as_place(memory), Path("out"))[0][0].fact)
    assert facts[0].size == 5
    assert facts[0].token != facts[1].token


def test_a_marker_of_a_folder_is_no_photo(monkeypatch):
    with serving_s3(monkeypatch):
        upload_markers = ("set/cat/", "set/dog/")
        from urllib.request import Request, urlopen

        for name in upload_markers:
            url = f"{os.environ['AWS_ENDPOINT_URL']}/photos/{name}"
            urlopen(Request(url, method="PUT", data=b"")).close()
        for name in ("cat", "dog"):
            put(f"s3://photos/set/{name}/0.jpg", b"x")
        photos, left = listed(as_place("s3://photos/set"))
        assert [place for place, *_ in photos] == ["cat/0.jpg", "dog/0.jpg"]
        assert left == set()


def test_a_listing_takes_a_request_for_a_thousand_objects_and_none_for_each(monkeypatch):
    with serving_s3(monkeypatch) as server:
        for number in range(1_010):
            put(f"s3://photos/set/{number % 2}/{number:04}.jpg", b"x")
        server.asked.clear()
        photos = find_photos(as_place("s3://photos/set")).photos
        assert len(photos) == 1_010
        assert server.count("GET", "list-type=2") <= 3  # is it there, and two pages
        assert server.requests - 1_010 <= 6
        server.asked.clear()
        assert [photo.path.stat().st_size for photo in photos] == [1] * 1_010
        assert server.asked == []  # known from the listing


def test_names_are_those_of_paths_and_travel_to_other_processes(memory):
    place = as_place(f"{memory}/cat/a b%20#[1]é.jpg").with_fact(Fact(7, 3))
    assert (place.name, place.suffix, place.parent.name) == ("a b%20#[1]é.jpg", ".jpg", "cat")
    assert str(place) == place.as_posix() == "memory://photos/cat/a b%20#[1]é.jpg"
    assert place_of(place) == str(place).encode()
    again = pickle.loads(pickle.dumps(place))
    assert (again, again.fact, type(again)) == (place, Fact(7, 3), Url)
    assert sorted([as_place("s3://b/b"), as_place("s3://b/a")])[0].name == "a"


@pytest.mark.parametrize("function", [os.fspath, os.listdir, os.path.exists, open])
def test_no_function_of_the_system_takes_an_address_for_a_file(function, memory):
    with pytest.raises(TypeError, match="no file of this machine"):
        function(as_place(f"{memory}/cat"))


def test_file_addresses_are_paths():
    assert as_place("file:///photos/a%20b") == Path("/photos/a b")
    assert as_place("file://localhost/x") == Path("/x")
    with pytest.raises(SettingError, match="expected file:///"):
        as_place("file://elsewhere/x")


def test_the_host_of_hdfs_may_be_left_to_its_settings():
    pytest.importorskip("pyarrow", reason="needs requirements-scale.txt")
    place = as_place("hdfs:///data/photos")
    assert (str(place), place.key) == ("hdfs://default/data/photos", "/data/photos")
    assert as_place("hdfs://me@node:8020/data").key == "/data"


def test_a_system_that_is_not_known_is_named_with_those_that_are():
    with pytest.raises(SettingError, match=r"https://x.org/photos is no address .* s3://, gs://"):
        as_place("https://x.org/photos")
    with pytest.raises(SettingError, match="names no bucket"):
        as_place("s3://")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    system._lacking.cache_clear()
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(fit, ["s3://bucket/photos", "--out", "model"])
    system._lacking.cache_clear()
    assert done.exit_code == 2
    assert "pip install -r requirements-scale.txt" in done.output


def failing(monkeypatch, error, times):
    """A store that raises an error, and how often it was asked."""
    asked = []

    class Store:
        def read(self, key, start=0, end=None):
            asked.append(key)
            if len(asked) <= times:
                raise error
            return b"content"

    monkeypatch.setattr(system, "open_store", lambda scheme, host: Store())
    monkeypatch.setattr(system, "WAITS_S", (0, 0, 0))
    monkeypatch.setattr(system, "_silence", system._Silence())
    return asked


def test_a_request_that_fails_is_made_again_so_many_times(monkeypatch):
    place = Url("s3:", "bucket", "a.jpg")
    asked = failing(monkeypatch, RuntimeError("503"), times=3)
    assert place.read_bytes() == b"content"
    assert len(asked) == 4


def test_a_store_that_always_fails_is_named_without_what_the_environment_hides(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    failing(monkeypatch, RuntimeError(f"signed with {SECRET}\nand more"), times=99)
    with pytest.raises(Unreachable) as failed:
        Url("s3:", "bucket", "a.jpg").read_bytes()
    assert failed.value.strerror == (
        "cannot be reached, after 4 attempts: RuntimeError: signed with ***"
    )
    assert unreadable(Path("a"), failed.value).kind == "unreachable"


def test_what_is_not_there_is_asked_for_once(monkeypatch):
    asked = failing(monkeypatch, FileNotFoundError("gone"), times=99)
    with pytest.raises(FileNotFoundError) as failed:
        Url("s3:", "bucket", "a.jpg").read_bytes()
    assert len(asked) == 1
    assert failed.value.errno == errno.ENOENT
    assert unreadable(Path("a"), failed.value).kind == "missing"


def test_a_store_that_is_away_ends_the_run_instead_of_thinning_the_photos(monkeypatch):
    failing(monkeypatch, RuntimeError("refused"), times=9_999)
    place = Url("s3:", "bucket", "a.jpg")
    for _ in range(system.SILENT - 1):
        with pytest.raises(Unreachable):
            place.read_bytes()
    with pytest.raises(PhotosError, match="s3://bucket does not answer: 10 places in a row"):
        place.read_bytes()


def test_a_photo_that_is_known_to_be_too_large_is_not_downloaded(monkeypatch):
    asked = failing(monkeypatch, AssertionError("read"), times=99)
    place = Url("s3:", "bucket", "a.jpg").with_fact(Fact(2_001, 1))
    with pytest.raises(ImageTooLarge, match="2,001 bytes; the limit is 2,000"):
        read_photo(place, Limits(size_bytes=2_000))
    assert asked == []


def test_hadoop_is_listed_read_and_written(tmp_path, monkeypatch):
    fs = pytest.importorskip("pyarrow.fs", reason="needs requirements-scale.txt")
    local = Hadoop(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))
    monkeypatch.setattr(system, "open_store", lambda scheme, host: local)
    fill(tmp_path, "set/cat", "set/dog/inner")
    top = Url("hdfs:", "node", "set")
    assert listed(top) == listed(tmp_path / "set")
    place = top / "cat" / "new.bin"
    attempt(place, lambda store: store.write(place.key, b"0123456789"))
    assert (place.read_bytes(), place.read_range(2, 5), place.fact.size) == (
        b"0123456789",
        b"234",
        10,
    )
    attempt(place, lambda store: store.remove(place.key))
    assert not (tmp_path / "set/cat/new.bin").exists()
    with pytest.raises(FileNotFoundError):
        (top / "gone").stat()


def test_a_place_that_may_not_be_read_says_where_credentials_belong(monkeypatch):
    class Store:
        def look(self, key):
            raise PermissionError("signature of AKIA")

    monkeypatch.setattr(system, "open_store", lambda scheme, host: Store())
    with pytest.raises(PhotosError) as refused:
        find_photos(Url("s3:", "bucket", "photos"))
    assert str(refused.value).startswith("s3://bucket/photos cannot be read: Permission denied; ")
    assert SYSTEMS["s3"].environment in str(refused.value)


def test_a_store_without_photos_says_so(memory):
    with pytest.raises(PhotosError, match="memory://photos/none does not exist"):
        find_photos(as_place(f"{memory}/none"))


@pytest.mark.parametrize("option", [["--out", "s3://b/x.html"], ["--exclude", "ftp://x/y"]])
def test_what_must_be_a_file_here_takes_no_address(option, tmp_path):
    write_classes(tmp_path / "photos", 1)
    done = CliRunner().invoke(check, [str(tmp_path / "photos"), *option])
    assert done.exit_code == 2
    assert "address" in done.output
