"""The outcome of a search: who won, by how much, what mattered; as JSON and as pictures."""

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm

from training.evaluation.evaluate import measure
from training.evaluation.intervals import mcnemar, paired_difference
from training.heads.fitted_head import FittedHead
from training.report.drawings import as_png
from training.results import Dataset, Searched
from training.search.space import NEURAL, Candidate
from training.search.study import Study

ENOUGH_TRIALS = 20  # neural ones that finished: from there on two stand in the best tenth
MOST_SHOWN = 12  # hyperparameters in the picture
KEPT_OF_TEST = ("photos", "accuracy", "accuracy_interval", "log_loss")
COLOURS = ("#0b7285", "#c77d3a", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057")


@dataclass(frozen=True)
class Finalist:
    """The default, or the winner, trained again."""

    trial: FrozenTrial
    candidate: Candidate
    head: FittedHead
    losses: np.ndarray  # (V,) float64: log loss of each validation photo
    right: np.ndarray  # (V,) bool
    units: np.ndarray  # (V,) int, equal for photos that are copies
    test: dict[str, Any]  # `measure` on the test photos

    @staticmethod
    def measure(
        trial: FrozenTrial, candidate: Candidate, head: FittedHead, prepared: Dataset
    ) -> "Finalist":
        """Measure a head on the photos of validation and test."""
        features, labels = prepared.side("validation")
        chances = head.probabilities(features)
        truth = chances[np.arange(len(labels)), labels]
        features, tested = prepared.side("test")
        units, split = prepared.units, prepared.split
        names = prepared.class_names
        return Finalist(
            trial=trial,
            candidate=candidate,
            head=head,
            losses=-np.log(np.maximum(truth, 1e-15)),
            right=chances.argmax(axis=1) == labels,
            units=units[split.validation],
            test=measure(head.probabilities(features), tested, names, units[split.test]),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        validation = {"log_loss": float(self.losses.mean()), "accuracy": float(self.right.mean())}
        test = {name: self.test[name] for name in KEPT_OF_TEST}
        which = {"trial": self.trial.number, "head": self.candidate.kind}
        which |= {"parameters": self.trial.params}
        return which | {"validation": validation, "test": test}


def describe_search(study: Study, default: Finalist, winner: Finalist) -> Searched:
    """Summarise a search for the manifest, and make its files for the bundle."""
    compared = compare_finalists(default, winner)
    importances = what_mattered(study)
    summary = {
        "trials": len(study.trials),
        "cut_short": len(study.trials) - len(study.done),
        "seconds": study.seconds,
        "default": default.as_json(),
        "winner": winner.as_json(),
        "difference": compared,
        "verdict": verdict(default, winner, compared),
        "saved": (winner if beats(compared) else default).trial.number,
        "importances": importances,
    }
    table = summary | {"table": [_row(trial) for trial in study.trials]}
    pictures = {"course.png": draw_course(study.trials)}
    if importances:
        pictures["importances.png"] = draw_importances(importances)
    text = json.dumps(table, indent=1, allow_nan=False).encode()
    return Searched(summary, pictures | {"trials.json": text})


def compare_finalists(default: Finalist, winner: Finalist) -> dict[str, Any]:
    """Measure how far the winner is ahead on the validation photos, photo by photo.

    Returns:
        `log_loss`: the mean saved, with its `standard_error` and its 95 % interval; `accuracy`:
        the difference, with its interval and McNemar's `p_value`; `photos`, the independent
        ones: of copies the first counts. Zeros where the winner is the default.
    """
    first = np.unique(default.units, return_index=True)[1]
    saved = (default.losses - winner.losses)[first]
    error = saved.std(ddof=1) / np.sqrt(len(saved))
    half = norm.ppf(0.975) * error
    right, other = winner.right[first], default.right[first]
    alone = int((right & ~other).sum()), int((other & ~right).sum())
    return {
        "photos": len(saved),
        "log_loss": float(saved.mean()),
        "standard_error": float(error),
        "log_loss_interval": [float(saved.mean() - half), float(saved.mean() + half)],
        "accuracy": (alone[0] - alone[1]) / len(saved),
        "accuracy_interval": paired_difference(*alone, len(saved)),
        "p_value": mcnemar(*alone),
    }


def beats(compared: dict[str, Any]) -> bool:
    """Decide whether the winner is ahead by more than one standard error of the difference.

    Else the default stays (the rule of one standard error: Breiman et al. 1984): the best of
    many trials is ahead of it by luck alone, and is no better on other photos.
    """
    return bool(compared["log_loss"] > compared["standard_error"])


def verdict(default: Finalist, winner: Finalist, compared: dict[str, Any]) -> str:
    """Write one paragraph for people."""
    own, other = (f"test accuracy {one.test['accuracy']:.3f}" for one in (default, winner))
    if winner.trial.number == default.trial.number:
        return f"nothing beat the default of fit on validation photos: it is saved, {own}"
    gain, error = compared["log_loss"], compared["standard_error"]
    if not beats(compared):
        return (
            f"nothing clearly beat the default of fit: it is saved, {own}; the best other head is "
            f"ahead by {gain:.4f} log loss on {compared['photos']} validation photos, within one "
            f"standard error ({error:.4f}), {other}"
        )
    low, high = compared["log_loss_interval"]
    return (
        f"the winner beats the default of fit: {gain:.4f} less log loss on {compared['photos']} "
        f"validation photos ({low:.4f} to {high:.4f}), accuracy "
        f"{100 * compared['accuracy']:+.1f} points; chosen on these photos, so that flatters it; "
        f"{other}, the default's {default.test['accuracy']:.3f}"
    )


def what_mattered(study: Study) -> dict[str, float]:
    """Measure how much each hyperparameter of neural heads matters; {} where trials are too few."""
    finished = [trial for trial in study.of_kind(NEURAL) if trial.state == TrialState.COMPLETE]
    if len(finished) < ENOUGH_TRIALS:
        return {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        return study.importances(NEURAL)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    """Make a line of the table of trials."""
    finished = trial.state == TrialState.COMPLETE
    epochs = [loss if np.isfinite(loss) else None for loss in trial.intermediate_values.values()]
    line = {"trial": trial.number, "log_loss": trial.value if finished else None}
    return line | trial.user_attrs | {"parameters": trial.params, "epochs": epochs}


def draw_course(trials: list[FrozenTrial]) -> bytes:
    """Draw every trial's log loss, by kind of head, and the best so far, as a PNG."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    values = np.array([trial.value for trial in done], float)
    numbers = [trial.number for trial in done]
    top = values[0] + 3 * max(values[0] - values.min(), 0.05 * values[0])
    kinds = list(dict.fromkeys(str(trial.user_attrs["head"]) for trial in done))
    for kind, colour in zip(kinds, COLOURS, strict=False):
        rows = [row for row, trial in enumerate(done) if trial.user_attrs["head"] == kind]
        shown = np.minimum(values[rows], top)  # a bad one would hide the differences of the good
        axes.plot([numbers[row] for row in rows], shown, "o", color=colour, label=kind, ms=4)
    cut = [trial.number for trial in trials if trial.state != TrialState.COMPLETE]
    axes.plot(cut, [top] * len(cut), "x", color="#999", label="cut short", ms=4)
    axes.step(numbers, np.minimum.accumulate(values), where="post", color="#222", label="best")
    axes.axhline(values[0], color="#999", linestyle="--", linewidth=1, label="default of fit")
    axes.set_xlabel("trial")
    axes.set_ylabel("log loss on validation photos")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return as_png(figure)


def draw_importances(importances: dict[str, float]) -> bytes:
    """Draw the parameters that mattered most, as a PNG."""
    shown = list(importances.items())[:MOST_SHOWN][::-1]
    figure = Figure(figsize=(7.2, 0.8 + 0.28 * len(shown)), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.barh([name for name, _ in shown], [share for _, share in shown], color=COLOURS[0])
    axes.set_xlabel("share of what separates the best tenth of neural heads from the others")
    return as_png(figure)
