"""The demo's own photos: each can be read, has a free licence, and stays out of the image."""

import csv
from collections import Counter

from deploy.image_steps import copied, stages
from models.images import Framing, decode_image
from tests.serving import ROOT
from training.photos.find import find_photos

DEMO = ROOT / "training/demo"
PUBLIC_DOMAIN, CC0 = "Public domain", "CC0-1.0"  # nobody who passes a model on owes anything


def sources() -> dict[str, dict[str, str]]:
    """The rows of SOURCES.tsv, by file."""
    with (DEMO / "SOURCES.tsv").open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row for row in csv.DictReader(lines, delimiter="\t")}


def test_the_photos_stand_in_five_classes_and_each_can_be_read():
    listing = find_photos(DEMO / "photos")
    counts = Counter(photo.label for photo in listing.photos)
    assert counts == {"animal": 29, "building": 27, "fish": 28, "hand-tool": 27, "windmill": 14}
    for photo in listing.photos:
        assert decode_image(photo.path.read_bytes(), Framing(32)).shape == (32, 32, 3)


def test_every_photo_names_its_author_its_source_and_a_licence_that_asks_for_nothing():
    photos = {p.relative_to(DEMO / "photos").as_posix() for p in DEMO.rglob("*.jpg")}
    assert set(sources()) == photos
    for row in sources().values():
        assert row["author"]
        assert row["source"].startswith("https://"), row
        assert row["licence"] in (PUBLIC_DOMAIN, CC0), row


def test_the_notice_counts_the_licences_of_the_photos():
    counts = Counter(row["licence"] for row in sources().values())
    notice = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    assert f"{counts[PUBLIC_DOMAIN]} are in the public domain and {counts[CC0]} are" in notice
    assert "training/demo/SOURCES.tsv" in notice


def test_the_photos_take_little_room():
    assert sum(p.stat().st_size for p in DEMO.rglob("*.jpg")) < 3_000_000  # of every clone


def test_the_service_image_holds_none_of_them():
    steps = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))["service"]
    paths = [path for _, path in copied(steps, ROOT)]
    assert "service/app.py" in paths  # else nothing is tested
    assert [path for path in paths if path.endswith(".jpg")] == []
