"""Links, pipes, rights: what lies among photos and is none, and nothing that hangs."""

import os
import socket
import sys

import pytest

from models.errors import PhotosError
from tests.folders import (
    become_nobody,
    fill,
    kinds_of,
    labels_of,
    touch,
    without_rights,
)
from training.photos.find import find_files, find_photos

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and rights of POSIX")


def test_links_to_photos_and_folders_are_followed_and_broken_ones_listed(tmp_path):
    store = fill(tmp_path / "store", "cats", count=10)
    fill(store, "more", count=14)
    photos = fill(tmp_path / "photos", "dog")
    (photos / "cat").mkdir()
    for number in range(10):
        (photos / f"cat/{number}.jpg").symlink_to(store / f"cats/{number}.jpg")
    for number in range(5):
        (photos / f"cat/gone{number}.jpg").symlink_to(store / f"nowhere/{number}.jpg")
    (photos / "cat/more").symlink_to(store / "more")
    assert labels_of(photos) == {"cat": 24, "dog": 2}
    assert kinds_of(photos) == {"broken-link": [f"cat/gone{n}.jpg" for n in range(5)]}
    (note,) = find_photos(photos).notes
    assert note.startswith(f"11 links lead out of {photos} and are followed; the first: ")


def test_a_class_folder_may_itself_be_a_link(tmp_path):
    store = fill(tmp_path / "store", "a", "b")
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        (tmp_path / "photos" / name).symlink_to(store / name)
    assert labels_of(tmp_path / "photos") == {"a": 2, "b": 2}
    assert find_photos(tmp_path / "photos").notes[0].startswith("2 links lead out")


@pytest.mark.parametrize("target", ["nowhere", "dog"])  # that is a link to itself
def test_a_class_that_is_a_link_to_nothing_stops_the_run(tmp_path, target):
    fill(tmp_path, "cat", "ape")
    (tmp_path / "dog").symlink_to(target)
    with pytest.raises(PhotosError, match=r"dog cannot be read: a link to .* a class would be"):
        find_photos(tmp_path)


def test_a_link_to_a_folder_above_ends_the_walk_and_is_named(tmp_path):
    fill(tmp_path, "cat", "dog")
    (tmp_path / "cat/self").symlink_to(tmp_path / "cat")
    (tmp_path / "dog/up").symlink_to(tmp_path)
    (tmp_path / "dog/ring").symlink_to("ring")
    (tmp_path / "dog/far up").symlink_to(tmp_path.parent)
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path) == {
        "loop": ["cat/self", "dog/far up", "dog/up"],
        "broken-link": ["dog/ring"],
    }


def test_a_class_that_is_a_link_to_the_set_or_to_another_class_is_named(tmp_path):
    fill(tmp_path, "cat", "dog")
    for name, target in (("all", "."), ("kitty", "cat"), ("up", "..")):
        (tmp_path / name).symlink_to(target)
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path) == {"loop": ["all", "kitty", "up"]}


def test_folders_that_link_to_one_another_are_read_once_each(tmp_path):
    fill(tmp_path, "dog", *(f"cat/{number:02}" for number in range(30)))
    for number in range(29):  # two ways on from each: 2^29 paths
        for name in ("one", "two"):
            (tmp_path / f"cat/{number:02}/{name}").symlink_to(f"../{number + 1:02}")
    assert labels_of(tmp_path) == {"cat": 60, "dog": 2}


def test_a_photo_with_several_names_in_its_class_counts_once(tmp_path):
    fill(tmp_path, "cat", "dog", count=3)
    os.link(tmp_path / "cat/0.jpg", tmp_path / "cat/again.jpg")
    (tmp_path / "cat/a link.jpg").symlink_to("1.jpg")
    assert labels_of(tmp_path) == {"cat": 3, "dog": 3}
    assert kinds_of(tmp_path) == {"same-file": ["cat/a link.jpg", "cat/again.jpg"]}


def test_a_photo_with_a_name_in_two_classes_stays_in_both_for_the_split_to_judge(tmp_path):
    fill(tmp_path, "cat", "dog")
    os.link(tmp_path / "cat/0.jpg", tmp_path / "dog/of cat.jpg")
    assert labels_of(tmp_path) == {"cat": 2, "dog": 3}


def test_pipes_sockets_and_devices_are_named_and_never_opened(tmp_path):
    fill(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat/pipe.jpg")
    os.mkfifo(tmp_path / "loose.jpg")
    (tmp_path / "cat/null.jpg").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path may have 107 bytes only
        listening.bind("cat/s.jpg")
        os.chdir(here)
        assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
        assert kinds_of(tmp_path) == {
            "special": ["cat/null.jpg", "cat/pipe.jpg", "cat/s.jpg", "loose.jpg"]
        }


def test_a_pipe_in_the_place_of_the_photos_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotosError, match="is a pipe or a device: give a folder"):
        find_photos(tmp_path / "pipe")


@pytest.mark.parametrize("place", ["dog", "train/dog", "test"])
@pytest.mark.parametrize("mode", [0o000, 0o444])  # not to be listed; to be listed, not entered
def test_a_class_or_a_side_that_cannot_be_read_stops_the_run(place, mode):
    sides = ("train/cat", "train/dog", "test/cat")
    with without_rights() as photos:
        fill(photos, *(("cat", "dog") if place == "dog" else sides))
        (photos / place).chmod(mode)
        become_nobody()
        with pytest.raises(PhotosError, match=f"{place}.*: change its rights, or move"):
            find_photos(photos)


def test_a_folder_inside_a_class_and_a_link_into_one_that_cannot_be_read_are_named():
    with without_rights() as photos:
        fill(photos, "cat", "cat/secret", "dog")
        (photos / "dog/x.jpg").symlink_to(photos / "cat/secret/0.jpg")
        (photos / "cat/secret").chmod(0)
        become_nobody()
        assert labels_of(photos) == {"cat": 2, "dog": 2}
        assert kinds_of(photos) == {"permission": ["cat/secret", "dog/x.jpg"]}


def test_a_place_above_the_photos_that_cannot_be_entered_is_refused_in_one_line():
    with without_rights() as place:
        fill(place, "closed/photos/cat")
        (place / "closed").chmod(0)
        become_nobody()
        with pytest.raises(PhotosError, match=r"photos cannot be read: .*Permission"):
            find_photos(place / "closed/photos")


def test_files_without_labels_are_found_in_the_same_way(tmp_path):
    touch(tmp_path, "a.jpg", "below/b.jpg", "@eaDir/a.jpg", "answers.jsonl", ".DS_Store")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "below/gone").symlink_to("nowhere")
    files, skipped = find_files(tmp_path, without=tmp_path / "answers.jsonl")
    assert files == [tmp_path / "a.jpg", tmp_path / "below/b.jpg"]
    assert sorted((item.path.name, item.kind) for item in skipped) == [
        (".DS_Store", "system"), ("@eaDir", "system"), ("gone", "broken-link"), ("pipe", "special"),
    ]  # fmt: skip
