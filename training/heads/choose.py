"""Which kind of head: all of them tried on the same photos, and a table of how they did."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from training.heads.fit import FittedHead, find_kind, fit_head
from training.heads.forward import unit_length
from training.heads.held_out import LEAST, Sides, judged
from training.heads.kinds import KINDS

NEIGHBOURS = 10  # of the reference


def choose_head(
    kinds: Sequence[str],
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    classes: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    balanced: bool = False,
) -> FittedHead:
    """The kind with the least log loss on photos held out; prototypes where there are none.

    Its settings get a `table`: a row for each kind (kind, name, settings, validation accuracy
    with its 95 % interval, validation log loss, seconds), and one for the nearest neighbours,
    which are a `reference` and never saved.
    """
    sides = Sides(train, train_labels, validation, validation_labels, seed)
    asked = [kind for kind in kinds if len(train) >= find_kind(kind).fewest * classes]
    heads, table = [], []
    for kind in asked:
        started = time.perf_counter()
        head = fit_head(
            *(kind, train, train_labels, validation, validation_labels, classes, seed, progress),
            balanced=balanced,
        )
        heads.append(head)
        table.append(table_row(head.settings, time.perf_counter() - started))
    reference = _neighbours(sides, classes)
    losses = {
        place: head.settings["validation_log_loss"]
        for place, head in enumerate(heads)
        if head.settings["judged_photos"] >= LEAST
    }
    if losses:
        best = min(losses, key=lambda place: losses[place])
    else:
        best = asked.index("prototypes") if "prototypes" in asked else 0
    rows = table + ([reference] if reference else [])
    return FittedHead(heads[best].layers, heads[best].settings | {"table": rows})


def table_row(settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """A row of the table of heads, from the settings of a fitted one."""
    kept = ("validation_accuracy", "validation_accuracy_interval", "validation_log_loss")
    setting = KINDS[settings["kind"]].setting if settings["kind"] in KINDS else ""
    return {
        "kind": settings["kind"],
        "name": settings["name"],
        "settings": {setting: settings[setting]} if setting else {},
        **{key: settings[key] for key in kept},
        "seconds": seconds,
        "reference": False,
    }


def _neighbours(sides: Sides, classes: int) -> dict[str, Any] | None:
    """The reference: votes of the nearest training photos by cosine, each class with one more."""
    if len(sides.validation_labels) < LEAST:
        return None
    from sklearn.neighbors import KNeighborsClassifier

    started = time.perf_counter()
    count = min(NEIGHBOURS, len(sides.train))
    model = KNeighborsClassifier(count, algorithm="brute")
    with threadpool_limits(1):
        model.fit(unit_length(sides.train), sides.train_labels)
        votes = model.predict_proba(unit_length(sides.validation)) * count
    probabilities = (votes + 1 / classes) / (count + 1)
    return {
        "kind": "knn",
        "name": "nearest neighbours (a reference, not saved)",
        "settings": {"k": count},
        **judged(probabilities, sides.validation_labels),
        "seconds": time.perf_counter() - started,
        "reference": True,
    }
