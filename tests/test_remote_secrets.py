"""What stands in addresses and in the environment, and is nobody's business."""

from pathlib import Path

import pytest

from models.errors import PhotosError, SettingError
from tests.folders import touch
from tests.stores import SECRET
from training.photos.find import find_photos
from training.places.address import as_place
from training.settings.printable import printable

SECRETIVE = [
    f"s3://AKIA123:{SECRET}@bucket/photos",
    f"s3://bucket/photos?token={SECRET}",
    f"gs://user:{SECRET}@bucket",
    f"https://user:{SECRET}@host/photos",
    f"hdfs://user:{SECRET}@host:8020/photos",
    f"https://host/a.jpg?X-Amz-Signature={SECRET}&b=c",
    f"https://{SECRET[-8:]}@host/x",
]


@pytest.mark.parametrize("address", SECRETIVE)
def test_credentials_in_an_address_are_refused_and_not_shown(address):
    with pytest.raises(SettingError) as refused:
        as_place(address)
    for text in (str(refused.value), printable(f"cannot read {address}: no")):
        assert SECRET not in text
        assert SECRET[-8:] not in text
    assert SECRET not in printable(Path(address))  # which has one slash only


@pytest.mark.parametrize(
    "text",
    ["hdfs://me@node:8020/a@b.jpg", "s3://bucket/a@2x.jpg", "s3://bucket/10:30/x.jpg", "/a@b:c/d",
     "file:///home/me@work/x.jpg", "why? a=b"],
)  # fmt: skip
def test_what_is_no_secret_is_shown_whole(text):
    assert printable(text) == text


def test_a_list_with_credentials_in_it_shows_none(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text(f"image,label\nhttps://u:{SECRET}@x.org/a.jpg,cat\n", encoding="utf-8")
    with pytest.raises(PhotosError) as refused:
        find_photos(table)
    assert SECRET not in str(refused.value)
    touch(tmp_path, "b.jpg")
    table.write_text(table.read_text(encoding="utf-8") + "b.jpg,cat\n", encoding="utf-8")
    (item,) = find_photos(table).skipped
    assert item.kind == "url"
    assert SECRET not in f"{item.path} {item.reason}"
