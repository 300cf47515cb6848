"""Which kind of head: all of them tried on the same photos, and a table of how they did."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from training.heads.fit import find_kind, fit_head
from training.heads.fitted_head import FittedHead, HeadRecord, scores_as_json
from training.heads.forward import unit_length
from training.heads.held_out import LEAST, Sides, score_probabilities

NEIGHBOURS = 10  # of the reference


def choose_head(
    kinds: Sequence[str],
    sides: Sides,
    balanced: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> FittedHead:
    """Fit heads of several kinds and choose the one with the least log loss on photos held out.

    Where too few are held out to judge by, it is the one of prototypes. Kinds that need more
    photos than there are take no part. The arguments are those of `fit_head`.

    Returns:
        The head, with a `table` in its record: a row for each kind (kind, name, settings,
        validation accuracy with its 95 % interval, validation log loss, seconds), and one for
        the nearest neighbours, which are a `reference` and never saved.
    """
    possible = [k for k in kinds if len(sides.train) >= find_kind(k).fewest * sides.classes]
    heads, table = [], []
    for kind in possible:
        started = time.perf_counter()
        head = fit_head(kind, sides, balanced=balanced, progress=progress)
        heads.append(head)
        table.append(_table_row(head.record, time.perf_counter() - started))
    losses = {
        place: head.record.scores.validation_log_loss
        for place, head in enumerate(heads)
        if head.record.scores and head.record.judged_photos >= LEAST
    }
    if losses:
        best = heads[min(losses, key=lambda place: losses[place])]
    else:
        best = heads[possible.index("prototypes") if "prototypes" in possible else 0]
    rows = [*table, *_neighbours(sides)]
    return FittedHead(best.layers, replace(best.record, table=tuple(rows)))


def _table_row(record: HeadRecord, seconds: float) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "name": record.name,
        "settings": record.setting,
        **scores_as_json(record.scores),
        "seconds": seconds,
        "reference": False,
    }


def _neighbours(sides: Sides) -> list[dict[str, Any]]:
    """Make the reference's row: votes of the nearest training photos by cosine.

    Each class has one vote more. There is no row where the validation side is too small.
    """
    if len(sides.validation_labels) < LEAST:
        return []
    from sklearn.neighbors import KNeighborsClassifier

    started = time.perf_counter()
    count = min(NEIGHBOURS, len(sides.train))
    model = KNeighborsClassifier(count, algorithm="brute")
    with threadpool_limits(1):
        model.fit(unit_length(sides.train), sides.train_labels)
        votes = model.predict_proba(unit_length(sides.validation)) * count
    probabilities: np.ndarray = (votes + 1 / sides.classes) / (count + 1)
    return [
        {
            "kind": "knn",
            "name": "nearest neighbours (a reference, not saved)",
            "settings": {"k": count},
            **scores_as_json(score_probabilities(probabilities, sides.validation_labels)),
            "seconds": time.perf_counter() - started,
            "reference": True,
        }
    ]
