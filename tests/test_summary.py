"""The words at the top of the report: each rests on a number."""

import numpy as np
import pytest

from models.bundle import Manifest
from models.images import Framing
from tests.test_report import numbers
from training.report.summary import class_rows, next_steps, summarise_run
from training.report.verdicts import Verdict


def manifest(truth: list[int], predicted: list[int], **changes: object) -> Manifest:
    names = ["cat", "dog", "emu"]
    fields = {
        "name": "pets",
        "class_names": names,
        "image": Framing(size=32, resize="crop", fraction=0.875),
        "backbone": {"name": "efficientnet-lite0"},
        "head": {"kind": "logistic regression"},
        "layers": [],
        "training": {"fine_tune": "no", "weights": "embedded"},
        "data": {"photos": {"train": 1234, "validation": 6, "test": len(truth)}},
        "metrics": {"test": numbers(names, truth, predicted)},
    }
    return Manifest.model_validate(fields | changes)


HUNDRED = [0] * 100 + [1] * 100 + [2] * 100
SURE = manifest(HUNDRED, HUNDRED)


def test_it_says_what_was_trained_and_how_good_it_is():
    told = summarise_run(SURE)
    assert told.made == (
        "A classifier of 3 classes: the pretrained network efficientnet-lite0 at 32 px with a head "
        "(logistic regression) trained on 1,234 photos."
    )
    assert "It is right on 300 of 300 test photos." in told.quality
    assert "99 to 100 right answers in 100" in told.quality  # Wilson: 98.7 %


def test_weights_drawn_at_random_are_not_called_pretrained():
    told = summarise_run(manifest([0, 1, 2], [0, 1, 2], training={"weights": "none"}))
    assert "the network efficientnet-lite0 at 32 px, its weights drawn at random," in told.made


@pytest.mark.parametrize(("best", "said"), [(1, True), (-1, False)])
def test_blocks_are_named_only_where_their_training_was_kept(best, said):
    tuning = {"cut": "block3", "best": best}
    told = summarise_run(manifest([0, 1, 2], [0, 1, 2], training={"fine_tuning": tuning}))
    assert ("its layers after block3 trained too" in told.made) is said


def test_a_faultless_network_is_given_no_advice():
    assert next_steps(SURE) == []


def test_few_test_photos_are_the_first_thing_to_mend():
    steps = next_steps(manifest([0, 1, 2, 2], [0, 1, 2, 0]))
    assert steps[0].startswith("Collect more test photos: with 4 the accuracy is known to within")


def test_a_pair_that_is_often_confused_and_the_weakest_class_are_named():
    predicted = [0] * 100 + [1] * 100 + [0] * 60 + [2] * 40
    pair, weakest, tune = next_steps(manifest(HUNDRED, predicted))
    assert pair.startswith("Look at the 60 of 100 photos of “emu” that were taken for “cat”")
    assert weakest.startswith(
        "Add photos of “emu”: it is the class found least often (40 % of 100)"
    )
    assert "--fine-tune auto" in tune


def test_a_verdict_brings_its_first_advice():
    verdict = Verdict("overfitting", "Overfitting: so.", ["mixup of 0.2", "more photos"])
    assert next_steps(SURE, [verdict]) == ["Overfitting: so. Try mixup of 0.2."]
    assert next_steps(SURE, [Verdict("good fit", "A good fit.", [])]) == []


def test_uneven_classes_are_pointed_out():
    counts = {"cat": {"train": 200}, "dog": {"train": 15}}
    steps = next_steps(manifest(HUNDRED, HUNDRED, data=SURE.data | {"classes": counts}))
    assert steps[0].startswith("The classes are uneven (15 to 200 photos)")


def test_the_weakest_class_comes_first_and_those_without_photos_last():
    found = class_rows(numbers(["a", "b", "c"], [0, 0, 1, 1], [0, 0, 1, 2]))
    assert [row.label for row in found] == ["b", "a", "c"]
    assert found[0].recall_interval == pytest.approx([0.0945, 0.9055], abs=1e-3)  # Wilson, 1 of 2
    assert found[2].recall_interval is None
    assert np.isclose(found[0].recall, 0.5)
