"""Lists of photos: CSVs in any delimiter, encoding and header, and what their rows lack."""

import unicodedata
from pathlib import Path

import pytest

from models.errors import PhotosError
from tests.folders import touch
from tests.making import write_table
from training.photos.find import find_photos
from training.photos.listing import Photo


def test_a_csv_names_photos_relative_to_itself(tmp_path):
    touch(tmp_path, "shots/a.png", "shots/b.png")
    table = write_table(tmp_path / "t.csv", "label,image", "cat,shots/a.png", " dog , shots/b.png ")
    assert find_photos(table).photos == [
        Photo(tmp_path / "shots/a.png", "cat"),
        Photo(tmp_path / "shots/b.png", "dog"),
    ]


def test_a_csv_may_say_the_side_of_each_photo(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png", "d.png")
    lines = ("a.png,cat,train", "b.png,cat,VAL", "c.png,cat,test", "d.png,cat,")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    sides = [photo.side for photo in find_photos(table).photos]
    assert sides == ["train", "validation", "test", None]  # left empty: for us to choose


def test_a_csv_may_say_the_group_of_each_photo(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png")
    lines = ("a.png,cat,shoot 1", "b.png,cat, shoot 1 ", "c.png,cat,")
    table = write_table(tmp_path / "t.csv", "image,label,group", *lines)
    assert [photo.group for photo in find_photos(table).photos] == ["shoot 1", "shoot 1", ""]


def test_a_csv_saved_by_excel_begins_with_a_mark_that_is_no_column_name(tmp_path):
    touch(tmp_path, "a.png")
    table = write_table(tmp_path / "t.csv", "image,label", "a.png,Käse", encoding="utf-8-sig")
    assert find_photos(table).photos == [Photo(tmp_path / "a.png", "Käse")]


def test_rows_without_a_file_an_image_or_a_label_are_skipped_with_their_line(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat", "gone.png,cat", ",cat", "a.png")  # the last row is cut short
    listing = find_photos(write_table(tmp_path / "t.csv", "image,label", *lines))
    assert [photo.path.name for photo in listing.photos] == ["a.png"]
    assert [(item.path.name, item.reason) for item in listing.skipped] == [
        ("gone.png", f"line 3: no such file: tried {tmp_path / 'gone.png'}"),
        (tmp_path.name, "line 4 has no image or no label"),
        ("a.png", "line 5 has no image or no label"),
    ]


def test_a_name_too_long_for_the_file_system_is_skipped_like_any_missing_file(tmp_path):
    touch(tmp_path, "a.png")
    long = "x" * 300  # Linux allows 255 bytes
    listing = find_photos(
        write_table(tmp_path / "t.csv", "image,label", "a.png,cat", f"{long},cat")
    )
    assert [item.path.name for item in listing.skipped] == [long]


def test_an_unknown_split_is_refused_with_its_line(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat,train", "a.png,cat,later")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    with pytest.raises(PhotosError, match=r"t\.csv, line 3: split is 'later'; expected train"):
        find_photos(table)


def test_the_line_is_the_one_an_editor_shows_even_after_an_empty_one(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat,train", "", "a.png,cat,later")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    with pytest.raises(PhotosError, match="line 4"):
        find_photos(table)


@pytest.mark.parametrize(
    ("header", "found"), [("id,breed", "found breed, id"), ("image", "found image")]
)
def test_a_csv_without_its_columns_is_refused_with_those_it_has(tmp_path, header, found):
    table = write_table(tmp_path / "t.csv", header, "a.png,cat")
    with pytest.raises(PhotosError, match="expected the columns image,label; found"):
        find_photos(table)
    with pytest.raises(PhotosError, match=found):
        find_photos(table)


def test_a_csv_whose_files_are_all_missing_is_refused_in_words_that_fit_a_csv(tmp_path):
    table = write_table(tmp_path / "t.csv", "image,label", "gone.png,cat")
    with pytest.raises(PhotosError) as caught:
        find_photos(table)
    assert "no such file" in str(caught.value)  # why, not "make the folder t.csv/cat/"


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff\xfe", b"image,label\n"])
def test_a_file_that_is_no_csv_with_rows_is_refused_by_name(tmp_path, content):
    file = tmp_path / "photo.png"
    file.write_bytes(content)
    with pytest.raises(PhotosError, match=r"photo\.png"):
        find_photos(file)


def reasons(table: Path) -> dict[str, list[str]]:
    """Kind -> the reasons of the rows that were left out."""
    found: dict[str, list[str]] = {}
    for item in find_photos(table).skipped:
        found.setdefault(item.kind, []).append(item.reason)
    return found


@pytest.mark.parametrize(
    ("delimiter", "word"), [(";", "a semicolon"), ("\t", "a tab"), ("|", "a bar"), (",", None)]
)
def test_any_delimiter_is_read_and_said(tmp_path, delimiter, word):
    touch(tmp_path, "a.png", "b,c.png")
    lines = [delimiter.join(row) for row in (("image", "label"), ("a.png", "cat"))]
    lines.append(delimiter.join(('"b,c.png"', "dog")))
    listing = find_photos(write_table(tmp_path / "t.csv", *lines))
    assert [(photo.path.name, photo.label) for photo in listing.photos] == [
        ("a.png", "cat"),
        ("b,c.png", "dog"),
    ]
    assert listing.notes == ([f"t.csv is separated by {word}"] if word else [])


def test_the_line_with_which_excel_names_the_delimiter_is_passed_over(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("sep=;", "image;label", "a.png;cat", "gone.png;cat")
    table = write_table(tmp_path / "t.csv", *lines)
    assert find_photos(table).photos == [Photo(tmp_path / "a.png", "cat")]
    assert "line 4: no such file" in reasons(table)["missing"][0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_the_encodings_of_spreadsheets_are_read_and_said(tmp_path, encoding):
    touch(tmp_path, "käse.png")
    lines = ("image,label", "käse.png,Käse")
    listing = find_photos(write_table(tmp_path / "t.csv", *lines, encoding=encoding))
    assert listing.photos == [Photo(tmp_path / "käse.png", "Käse")]
    assert listing.notes == [f"t.csv is not UTF-8: read as {encoding}"]


@pytest.mark.parametrize(
    "header",
    [
        "Image,Label",
        " image , LABEL ",
        '"image","label"',
        "\ufeffimage,label",
        "\ufeff\ufeffimage,label",
    ],
)
def test_case_spaces_and_quotes_of_the_header_do_not_matter(tmp_path, header):
    touch(tmp_path, "a.png")
    assert find_photos(write_table(tmp_path / "t.csv", header, "a.png,cat")).photos == [
        Photo(tmp_path / "a.png", "cat")
    ]


@pytest.mark.parametrize(
    "header", ["filename,class", "File Name,Category", "image_path,class_name", "photo,target"]
)
def test_usual_names_of_the_columns_are_taken_and_said(tmp_path, header):
    touch(tmp_path, "a.png")
    listing = find_photos(write_table(tmp_path / "t.csv", header, "a.png,cat"))
    first, second = header.split(",")
    assert listing.photos == [Photo(tmp_path / "a.png", "cat")]
    assert listing.notes == [f"t.csv: read {first!r} as image, {second!r} as label"]


def test_the_fixed_names_win_over_synonyms(tmp_path):
    touch(tmp_path, "a.png")
    table = write_table(tmp_path / "t.csv", "path,image,class,label", "x,a.png,7,cat")
    assert find_photos(table).photos == [Photo(tmp_path / "a.png", "cat")]


def test_two_columns_that_could_be_the_label_are_refused_by_name(tmp_path):
    table = write_table(tmp_path / "t.csv", "image,class,category", "a.png,7,cat")
    with pytest.raises(PhotosError, match="class, category could each be the label"):
        find_photos(table)


def test_a_table_without_a_header_is_refused_with_what_to_add(tmp_path):
    touch(tmp_path, "a.png")
    table = write_table(tmp_path / "t.csv", "a.png;cat", "b.png;dog")
    with pytest.raises(PhotosError, match="line 1 looks like a photo: put the line image;label"):
        find_photos(table)


def test_an_archive_or_a_workbook_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(PhotosError, match="unpack it and give the folder, or save the sheet"):
        find_photos(tmp_path / "photos.zip")


@pytest.mark.parametrize(
    "written",
    [
        r"shots\may\a b.png",
        "{base}/shots/may/a b.png",
        "file://{base}/shots/may/a%20b.png",
        "./shots/../shots/may/a b.png",
    ],
)
def test_a_path_may_be_written_as_on_another_system(tmp_path, written):
    touch(tmp_path, "shots/may/a b.png")
    row = written.format(base=tmp_path) + ",cat"
    found = find_photos(write_table(tmp_path / "t.csv", "image,label", row)).photos
    assert [photo.path.resolve() for photo in found] == [tmp_path / "shots/may/a b.png"]


def test_a_backslash_in_the_name_itself_is_found_first(tmp_path):
    touch(tmp_path, "a\\b.png", "a/b.png")
    found = find_photos(write_table(tmp_path / "t.csv", "image,label", "a\\b.png,cat")).photos
    assert [photo.path.name for photo in found] == ["a\\b.png"]


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_may_be_written_in_another_form_than_on_disk(tmp_path, on_disk, written):
    name = unicodedata.normalize(on_disk, "é.png")
    touch(tmp_path, name)
    row = unicodedata.normalize(written, "é.png") + ",cat"
    found = find_photos(write_table(tmp_path / "t.csv", "image,label", row)).photos
    assert [photo.path.name for photo in found] == [name]


def test_each_row_that_names_no_file_says_why_and_what_was_tried(tmp_path):
    touch(tmp_path, "a.png", "folder/b.png")
    lines = ("a.png,cat", "gone.png,cat", "folder,cat", "https://x.org/a.png,cat", "a,b.png,cat")
    table = write_table(tmp_path / "t.csv", "image,label", *lines)
    assert reasons(table) == {
        "missing": [
            f"line 3: no such file: tried {tmp_path / 'gone.png'}",
            f"line 4: a folder, not a file: {tmp_path / 'folder'}",
        ],
        "url": [
            "line 5: https://x.org/a.png is no address that can be read: expected s3://, gs://, "
            "hdfs:// or file://; download it first"
        ],
        "bad-row": ["line 6 has 3 cells, the header 2: put a name with a comma in quotes"],
    }


def test_a_row_that_stands_twice_counts_once(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    lines = ("a.png,cat", "b.png,dog", "a.png,cat")
    table = write_table(tmp_path / "t.csv", "image,label", *lines)
    assert [photo.path.name for photo in find_photos(table).photos] == ["a.png", "b.png"]
    assert reasons(table) == {"duplicate-row": ["line 4 is line 2 again"]}


def test_a_photo_with_two_labels_is_left_out_altogether(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    lines = ("a.png,cat", "b.png,dog", "./a.png,dog")
    table = write_table(tmp_path / "t.csv", "image,label", *lines)
    assert [photo.path.name for photo in find_photos(table).photos] == ["b.png"]
    told = "two labels (line 2 says cat and line 4 says dog)"
    assert reasons(table) == {"two-labels": [f"line 2: {told}", f"line 4: {told}"]}


def test_the_words_for_sides_are_those_of_folders(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png")
    lines = ("a.png,cat,Training", "b.png,cat,dev", "c.png,cat,hold-out")
    table = write_table(tmp_path / "t.csv", "image,label,subset", *lines)
    assert [p.side for p in find_photos(table).photos] == ["train", "validation", "test"]
