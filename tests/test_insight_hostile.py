"""Insight that was damaged or forged is refused before anybody is shown any of it."""

import json
import shutil

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BundleError
from models.examine import examine
from models.insight import INDEX
from tests.crafting import replace


@pytest.fixture
def deep(insight_bundle, tmp_path):
    """A copy of a bundle with insight."""
    return shutil.copytree(insight_bundle, tmp_path / "colours")


def test_insight_that_unpacks_to_more_than_a_worker_may_keep_is_refused(deep, monkeypatch):
    classifier = examine(Bundle(deep))
    sizes = [
        sum(array.nbytes for array in classifier.insight.layer(name).arrays.values())
        for name in classifier.insight.summaries
    ]
    monkeypatch.setattr("models.insight.MOST_BYTES", sum(sizes))
    examine(Bundle(deep))
    monkeypatch.setattr("models.insight.MOST_BYTES", sum(sizes) - 1)
    with pytest.raises(BundleError, match=r"insight unpacks to over .* look into fewer layers"):
        examine(Bundle(deep))


def test_an_index_of_insight_whose_values_would_fill_the_memory_is_refused(deep):
    index = json.loads((deep / INDEX).read_bytes())
    replace(deep, INDEX, json.dumps(index | {"more": [[]] * 200_000}).encode())
    with pytest.raises(BundleError, match=r"insight\.json is not as expected: it holds 200,"):
        examine(Bundle(deep))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('"' + "\\u00e9" * 11_000_000 + '"', "it has 66,.* bytes; expected at most 64,000,000"),
        (f"[0, {'7' * 1001}]", "it holds 1,001 digits in a row"),
    ],
    ids=["a long string", "a long number"],
)
def test_an_index_of_insight_that_would_hold_up_everything_else_is_refused(deep, more, reason):
    text = (deep / INDEX).read_text()
    replace(deep, INDEX, text.replace("{", f'{{"more": {more},', 1).encode())
    with pytest.raises(BundleError, match=rf"insight\.json is not as expected: {reason}"):
        examine(Bundle(deep))


def change_arrays(bundle, change):
    place = bundle / "insight" / "layer00.npz"
    with np.load(place) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(place, **arrays | change(arrays))
    replace(bundle, "insight/layer00.npz", place.read_bytes())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: {name: array[:-1] for name, array in a.items()}, "insight"),
        (lambda a: {"weights": np.ones((len(a["mean"]), 3), bool)}, "weights has the type bool"),
        (lambda a: {"mean": a["class"]}, "mean has the type int"),
        (lambda a: {"exemplar_at": a["exemplar_at"] + 0.5}, "exemplar_at has the type float"),
        (lambda a: {"probe_kernel": a["probe_kernel"] * 0.0 + 2e9}, "probe_kernel has numbers bey"),
        (lambda a: {"peak": a["peak"] * 0 - np.inf}, "peak has numbers beyond 1e[+]09"),
    ],
)
def test_insight_whose_arrays_do_not_fit_is_refused(change, reason, deep):
    change_arrays(deep, change)
    with pytest.raises(BundleError, match=reason):
        examine(Bundle(deep))


VISUALISED = {"layer": "stem_relu", "channel": 0, "file": "model.keras", "answer": 1.0}


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"class_names": [f"{one:0999}" for one in range(1_002)]}, "class_names: .*1,000,000 lett"),
        ({"exemplar_names": ["a" * 20_001]}, r"exemplar_names\.0: .* at most 20000"),
        ({"exemplar_labels": ["a" * 1_001]}, r"exemplar_labels\.0: .* at most 1000"),
        ({"trust": {str(one): 0.5 for one in range(101)}}, "trust: .* at most 100"),
        ({"trust": {"a": {str(one): 0.5 for one in range(101)}}}, r"trust\.a\."),
    ],
)
def test_an_index_whose_words_would_make_answers_too_large_is_refused(index, reason, deep):
    known = json.loads((deep / INDEX).read_bytes())
    replace(deep, INDEX, json.dumps(known | index).encode())
    with pytest.raises(BundleError, match=rf"insight\.json is not as expected: {reason}"):
        examine(Bundle(deep))


@pytest.mark.parametrize(
    ("limit", "least", "reason"),
    [
        ("PICTURE_BYTES", 20, "exemplars of a channel have more than 20 bytes"),
        ("MOST_EXEMPLARS", 8, "exemplars do not fit"),
    ],
)
def test_a_layer_with_too_much_for_one_answer_is_refused(limit, least, reason, deep, monkeypatch):
    monkeypatch.setattr(f"models.insight.{limit}", least)
    with pytest.raises(BundleError, match=reason):
        examine(Bundle(deep))


def test_a_computed_picture_too_large_to_be_sent_is_refused(deep, monkeypatch):
    largest = max(one.stat().st_size for one in (deep / "insight").iterdir())
    monkeypatch.setattr("models.insight.PICTURE_BYTES", largest)
    index = json.loads((deep / INDEX).read_bytes())
    index["visualised"] = [VISUALISED | {"converged": True}]
    replace(deep, INDEX, json.dumps(index).encode())
    with pytest.raises(BundleError, match=r"model\.keras has [0-9,]+ bytes; the limit is"):
        examine(Bundle(deep))
