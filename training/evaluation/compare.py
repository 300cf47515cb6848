"""Two saved models on the same photos: which is better, and can so few photos tell?"""

from pathlib import Path
from typing import Any

from models.classifier import Classifier
from training.evaluation.evaluate import (
    Answers,
    answer_all,
    describe_answers,
    label_indices,
    photos_to_measure,
)
from training.evaluation.intervals import mcnemar, paired_difference
from training.settings.console import Stages

OUTCOMES = {
    (True, True): "both",
    (True, False): "only_this",
    (False, True): "only_other",
    (False, False): "neither",
}


def compare_bundles(
    first: Classifier, second: Classifier, source: Path, workers: int, stages: Stages
) -> dict[str, Any]:
    """The numbers of `first` on labelled photos, with `against`: how `second` did on the same.

    Returns:
        `evaluate_bundle` of the first; in `against` name, version and accuracy of the second,
        `photos` that both could read, how many `both`, `only_this`, `only_other` and `neither`
        got right, `difference` of the accuracies with its 95 % `difference_interval`, and
        `p_value` of McNemar's exact test.

    Raises:
        PhotosError: no photos, or a label that one of the two does not have.
    """
    chosen, side = photos_to_measure(source)
    for model in (first, second):
        label_indices(chosen.photos, model.class_names)  # refuse before the long work
    answers = [answer_all(model, chosen, workers, stages=stages) for model in (first, second)]
    right = [_right(model, found) for model, found in zip((first, second), answers, strict=True)]
    shared = [row for row in right[0] if row in right[1]]
    counts = dict.fromkeys(OUTCOMES.values(), 0)
    for row in shared:
        counts[OUTCOMES[right[0][row], right[1][row]]] += 1
    this_alone, other_alone = counts["only_this"], counts["only_other"]
    against = {
        "model": second.name,
        "version": second.manifest.version,
        "photos": len(shared),
        "accuracy": (counts["both"] + other_alone) / len(shared),
        **counts,
        "difference": (this_alone - other_alone) / len(shared),
        "difference_interval": paired_difference(this_alone, other_alone, len(shared)),
        "p_value": mcnemar(this_alone, other_alone),
    }
    return describe_answers(first, answers[0], side) | {"against": against}


def _right(classifier: Classifier, answers: Answers) -> dict[int, bool]:
    """Whether each photo that could be read was named rightly, by the photo's identity."""
    labels = label_indices(answers.photos, classifier.class_names)
    hits = answers.probabilities.argmax(axis=1) == labels
    return {id(photo): bool(hit) for photo, hit in zip(answers.photos, hits, strict=True)}
