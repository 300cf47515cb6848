"""Try INT8: quantise the network of a run, and keep it only where it is nearly as good.

The backbone becomes INT8, the head stays in float32: it takes no time, and features are finer
than probabilities. So the numbers of the graph in INT8 are its features: its own temperature,
prediction sets and familiarity are set on those of the validation photos, as the others were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.building.attach import attach_to_onnx
from models.bundles.calibration import Int8Facts, Thresholds
from models.errors import StorageError
from models.precision import probability_moved
from models.terms import GRAPHS
from training.evaluation.calibrate import calibrate
from training.evaluation.familiarity import ENOUGH, least_of
from training.evaluation.folds import share_of, turns
from training.features.int8 import Int8Answers, int8_answers
from training.heads.forward import apply_head, head_logits
from training.results import SAMPLE, Trained
from training.settings.config import FitConfig
from training.settings.console import Stages

CALIBRATED_ON = 64  # training photos; 100 take half as long again and give no better scales
MOST_FALL = 0.005  # of the accuracy on validation photos: half a point
MOST_MOVED = 0.05  # mean share of the probability that may stand on other classes
ROUNDING = 1e-9  # two shares of the same photos differ by this though they are equal


@dataclass(frozen=True)
class Quantised:
    """What came of it: facts for the manifest, and the graph where it is kept."""

    facts: Int8Facts | None = None  # None: it was not wanted
    graph: bytes | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """What goes into the bundle."""
        return {} if self.graph is None else {GRAPHS["int8"]: self.graph}


def quantise_network(trained: Trained, config: FitConfig, stages: Stages) -> Quantised:
    """Quantise, measure and decide, unless the config does not want it. The verdict is shown."""
    if not config.int8:
        return Quantised()
    with stages.stage("try INT8"):
        found = _quantise(trained, config)
    if found.facts:
        stages.say(in_words(found.facts))
    return found


def in_words(facts: Int8Facts) -> str:
    """Say in a line what came of INT8."""
    if not facts.kept:
        return f"INT8 is not kept: {facts.reason}"
    return (
        f"INT8 is kept: validation accuracy {facts.accuracy:.3f}, in float32 "
        f"{facts.accuracy_fp32:.3f}; {facts.mean_difference:.1%} of the probability moves"
    )


def _quantise(trained: Trained, config: FitConfig) -> Quantised:
    data = trained.data
    held = np.asarray(data.split.validation, int)
    rows = held[share_of(data.labels[held], SAMPLE, config.seed)].tolist()
    if len(rows) < ENOUGH:
        return _refuse(f"{len(rows)} validation photos cannot judge it; {ENOUGH} are needed")
    chosen = choose_calibration(data.split.train, data.labels, config.seed)
    try:
        answers = int8_answers(trained.compiled, data.features, chosen, rows, config)
    except StorageError:
        raise
    except Exception as error:  # of ONNX Runtime's tools, which have no common base
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return _refuse(f"this network cannot be quantised: {lines[0][:300]}")
    if len(answers.rows) < ENOUGH:
        return _refuse(
            f"{len(answers.rows)} validation photos can still be read; {ENOUGH} are needed"
        )
    return _judge(trained, answers, config)


def _judge(trained: Trained, answers: Int8Answers, config: FitConfig) -> Quantised:
    """Set temperature and thresholds on what INT8 answers, and keep it if it is good enough."""
    rows, vectors = answers.rows, answers.vectors
    features, labels = trained.data.some(rows)
    known = trained.calibrated
    own = vectors[:, -features.shape[1] :]
    fitted = calibrate(known.layers, head_logits(known.layers, own), labels, config.coverage)
    expected, found = apply_head(known.layers, features), apply_head(fitted.layers, own)
    familiarity = None
    if known.familiarity:
        scores = known.familiarity.familiarity.score(vectors)
        least = least_of(scores, known.familiarity.threshold.missed or 0.0)
        update = {"least": least, "set_on": "validation", "photos": len(rows)}
        familiarity = known.familiarity.threshold.model_copy(update=update)
    accuracies = [float((one.argmax(axis=1) == labels).mean()) for one in (found, expected)]
    moved = probability_moved(expected, found)
    temperature = known.calibration.temperature * fitted.calibration.temperature
    facts = Int8Facts(
        kept=False,
        calibrated_on=answers.calibrated_on,
        photos=len(rows),
        accuracy=accuracies[0],
        accuracy_fp32=accuracies[1],
        mean_difference=moved,
        calibration=fitted.calibration.model_copy(update={"temperature": temperature}),
        thresholds=Thresholds(prediction_set=fitted.prediction_set, familiarity=familiarity),
    )
    reason = _why_not(facts, known.thresholds)
    if reason:
        return Quantised(facts.model_copy(update={"reason": reason}))
    graph = attach_to_onnx(answers.graph, fitted.layers)
    return Quantised(facts.model_copy(update={"kept": True}), graph)


def _why_not(facts: Int8Facts, promised: Thresholds) -> str | None:
    """Say what speaks against INT8; None: nothing. `promised`: what float32 can tell."""
    assert facts.accuracy is not None
    assert facts.accuracy_fp32 is not None
    assert facts.mean_difference is not None
    fall = facts.accuracy_fp32 - facts.accuracy
    if fall > MOST_FALL + ROUNDING:
        return (
            f"validation accuracy falls from {facts.accuracy_fp32:.4f} to {facts.accuracy:.4f}, "
            f"by more than {100 * MOST_FALL:g} points"
        )
    if not facts.mean_difference <= MOST_MOVED:
        return (
            f"{facts.mean_difference:.1%} of the probability moves to other classes, more than "
            f"{MOST_MOVED:.0%}"
        )
    if promised.prediction_set and not facts.thresholds.prediction_set:
        return f"{facts.photos} validation photos are too few to set its prediction sets on"
    return None


def choose_calibration(train: Sequence[int], labels: np.ndarray, seed: int) -> list[int]:
    """Choose training photos to set scales by: drawn from the seed, the classes in turn."""
    rows = np.array(train)
    order = np.random.default_rng(seed).permutation(len(rows))
    turn = turns(labels[rows], order)
    chosen = order[np.argsort(turn[order], kind="stable")[:CALIBRATED_ON]]
    return sorted(rows[chosen].tolist())


def _refuse(reason: str) -> Quantised:
    return Quantised(Int8Facts(kept=False, reason=reason))
