"""The table of what was left out: kinds, counts, places, and the list of all."""

from pathlib import Path

from training.photos.listing import (
    FEW,
    KINDS,
    Skipped,
    count_left_out,
    left_out_lines,
    write_left_out,
)


def test_types_that_are_no_photos_are_told_apart_by_what_to_do(tmp_path):
    items = [Skipped(tmp_path / f"{n}.heic", "HEIC: pass --more-formats", kind="image_unsupported")
             for n in range(12)]  # fmt: skip
    items += [Skipped(tmp_path / "a/x.jpg", "a Git LFS pointer", kind="image_unsupported")] * 3
    items += [Skipped(tmp_path / "b.png", "999 pixels", kind="image_too_large")]
    assert left_out_lines(items, tmp_path, None) == [
        f"skipped {tmp_path / 'b.png'}: 999 pixels",
        "left out: 16",
        "      12  HEIC: pass --more-formats: ./ (12)",
        "       3  a Git LFS pointer: a/ (3)",
        "       1  over a limit: b.png",
    ]


def test_every_kind_has_a_title_and_a_place_in_the_order():
    items = [Skipped(Path("x"), "r", kind=kind) for kind in reversed(KINDS)]
    assert [row.kind for row in count_left_out(items, Path())] == list(KINDS)


def test_a_few_of_a_kind_are_named_and_more_are_counted():
    items = [Skipped(Path(f"d{n}/x.png"), "r", kind="no-class") for n in range(FEW)]
    assert len(left_out_lines(items, Path(), None)) == FEW + 2
    items.append(Skipped(Path("d0/y.png"), "r", kind="no-class"))
    assert left_out_lines(items, Path(), Path("all.csv")) == [
        "left out: 6",
        "       6  in no class folder: d0/ (2), d1/ (1), d2/ (1) and 2 more",
        "each of them: all.csv",
    ]


def test_no_cell_of_the_list_is_a_formula(tmp_path):
    write_left_out(tmp_path / "l.csv", [Skipped(Path("=1+1.png"), "two\nlines", kind="special")])
    lines = (tmp_path / "l.csv").read_text().splitlines()
    assert lines == ["photo,kind,reason", r"./=1+1.png,special,two\nlines"]
