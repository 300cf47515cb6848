"""Class names are read in every shape that people have them."""

import json
from pathlib import Path

import pytest

from models.errors import SettingError
from training.adopt.labels import check_count, read_labels

NAMES = ["ant", "bee", "cow"]
SHAPES = {
    "lines": "ant\nbee\ncow\n",
    "lines with empty ones": "\nant\n\nbee\r\ncow",
    "Teachable Machine": "0 ant\n1 bee\n2 cow\n",
    "numbered out of order": "2: cow\n0: ant\n1: bee",
    "numbered with commas": "0,ant\n1,bee\n2,cow",
    "one line": "ant, bee, cow",
    "a list": json.dumps(NAMES),
    "index to name": '{"0": "ant", "2": "cow", "1": "bee"}',
    "name to index": '{"cow": 2, "ant": 0, "bee": 1}',
    "class_indices": '{"class_indices": {"ant": 0, "bee": 1, "cow": 2}}',
    "under a key": '{"labels": ["ant", "bee", "cow"]}',
    "Hugging Face": '{"id2label": {"0": "ant", "1": "bee", "2": "cow"}, "label2id": {}}',
    "ImageNet": '{"0": ["n1", "ant"], "1": ["n2", "bee"], "2": ["n3", "cow"]}',
    "objects": '[{"name": "ant"}, {"name": "bee"}, {"name": "cow"}]',
    "printed by Python": "{'ant': 0, 'bee': 1, 'cow': 2}",
    "a byte order mark": "\ufeffant\nbee\ncow",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_names_are_read_from_a_file(shape, tmp_path):
    (tmp_path / "labels.txt").write_text(SHAPES[shape], encoding="utf-8")
    assert read_labels(str(tmp_path / "labels.txt")) == NAMES


def test_names_are_read_from_the_command_line():
    assert read_labels("ant, bee ,cow") == NAMES


def test_names_that_begin_with_numbers_stay_whole(tmp_path):
    (tmp_path / "labels.txt").write_text("10 euro\n20 euro\n50 euro\n")
    assert read_labels(str(tmp_path / "labels.txt")) == ["10 euro", "20 euro", "50 euro"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("{}", "no class names"),
        ("{1, 2", "begins like JSON"),
        ('{"a": "b"}', "no class names"),
        ('{"1": "ant", "2": "bee"}', "1 to 2 for 2 names; expected 0 to 1"),
        ('{"ant": 0, "bee": 0}', "0 to 0"),
        ("[1, 2]", "no class names"),
        ("ant\nbee\nant", "a name twice: ant"),
        ("ant,,bee", "an empty name"),
        ("[" * 100_000, "begins like JSON"),
        ("{'a': __import__('os').system('true')}", "begins like JSON"),
        ("ant\n" + "b" * 1_001, "'b{20}'... of 1,001 letters; the limit is 1,000"),
    ],
)
def test_a_file_without_names_is_refused_with_the_reason(content, words, tmp_path):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(SettingError, match=words):
        read_labels(str(tmp_path / "labels.json"))


@pytest.mark.parametrize("name", ["labels.pkl", "labels.npy"])
def test_names_in_a_pickle_are_refused_unread(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(SettingError, match="runs code"):
        read_labels(str(tmp_path / name))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfea\0")
    with pytest.raises(SettingError, match="UTF-8"):
        read_labels(str(tmp_path / "labels.txt"))
    with pytest.raises(SettingError, match="a file that exists"):
        read_labels(str(tmp_path / "missing.txt"))
    assert not Path("missing.txt").exists()


def test_a_wrong_count_is_refused_with_both_numbers():
    check_count(NAMES, 3, unit=False)
    with pytest.raises(SettingError, match="3 names; the network tells 5 classes apart"):
        check_count(NAMES, 5, unit=False)
    with pytest.raises(SettingError, match=r"3 names; .* 2 classes apart \(one number"):
        check_count(NAMES, 2, unit=True)
