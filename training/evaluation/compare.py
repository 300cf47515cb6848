"""Compare two saved models on the same photos, photo by photo."""

from collections import Counter
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
from training.scale.engine import Workers
from training.settings.console import Stages

OUTCOMES = {
    (True, True): "both",
    (True, False): "only_this",
    (False, True): "only_other",
    (False, False): "neither",
}


def compare_bundles(
    first: Classifier,
    second: Classifier,
    source: Path,
    workers: Workers,
    stages: Stages,
    merge_names: bool = False,
) -> dict[str, Any]:
    """Measure `first` on labelled photos, and in `against` how `second` does on the same.

    Returns:
        `evaluate_bundle` of the first; in `against` name, version and accuracy of the second,
        `photos` that both could read, how many `both`, `only_this`, `only_other` and `neither`
        got right, and the `difference` of the accuracies. Its 95 % `difference_interval` and
        the `p_value` of McNemar's exact test are those of the `independent_photos`: the first
        photo of each unit of copies.

    Raises:
        PhotosError: no photos, or a label that one of the two does not have.
    """
    chosen, side = photos_to_measure(source, merge_names)
    for model in (first, second):
        label_indices(chosen.photos, model.class_names, merge_names)  # before the long work
    models = (first, second)
    answers = [
        answer_all(model, chosen, workers, stages=stages, merge_names=merge_names)
        for model in models
    ]
    right = [
        _right(model, found, merge_names) for model, found in zip(models, answers, strict=True)
    ]
    outcomes = {
        photo: OUTCOMES[hit, right[1][photo]]
        for photo, hit in right[0].items()
        if photo in right[1]
    }
    counts = dict.fromkeys(OUTCOMES.values(), 0) | Counter(outcomes.values())
    unit_of = dict(zip(map(id, answers[0].photos), answers[0].units.tolist(), strict=True))
    firsts = {unit_of[photo]: found for photo, found in reversed(outcomes.items())}
    independent = Counter(firsts.values())
    alone = independent["only_this"], independent["only_other"]
    against = {
        "model": second.name,
        "version": second.manifest.version,
        "photos": len(outcomes),
        "independent_photos": len(firsts),
        "accuracy": (counts["both"] + counts["only_other"]) / len(outcomes),
        **counts,
        "difference": (counts["only_this"] - counts["only_other"]) / len(outcomes),
        "difference_interval": paired_difference(*alone, len(firsts)),
        "p_value": mcnemar(*alone),
    }
    return describe_answers(first, answers[0], side, merge_names) | {"against": against}


def _right(classifier: Classifier, answers: Answers, merge_names: bool) -> dict[int, bool]:
    """Map the identity of each readable photo to whether its answer is right."""
    labels = label_indices(answers.photos, classifier.class_names, merge_names)
    hits = answers.probabilities.argmax(axis=1) == labels
    return {id(photo): bool(hit) for photo, hit in zip(answers.photos, hits, strict=True)}
