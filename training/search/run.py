"""The search: heads of every kind, tried on the same cached features, and the best one saved.

The first trial is the head that `fit` trains, then come the other kinds as they are, then, in
turns, what a Tree-structured Parzen Estimator proposes for each (Bergstra et al. 2011). The
budget, minutes or trials, is that of the whole study: the same command goes on where it was,
and ends at once where nothing is left of it. A trial that the budget cuts off is not kept.
"""

import math
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from models.bundle import Manifest, check_target
from models.errors import Diverged, PhotosError
from training.features.backbone import Compiled, compile_backbone
from training.heads.held_out import ENOUGH
from training.heads.out_of_core import fit_on_all
from training.photos.levels import settle_levels
from training.places.bundles import published
from training.prepare import list_photos, open_cache, prepare
from training.results import Dataset, measure_head
from training.search.candidate import config_for, train_candidate
from training.search.outcome import Finalist, describe_search
from training.search.space import (
    VERSION,
    defaults,
    kinds_for,
    next_kind,
    parameters,
    recall,
    suggest_candidate,
)
from training.search.study import Study
from training.settings.config import FitConfig, SearchBudget
from training.settings.console import Stages
from training.sides.split import fingerprint
from training.write import write_bundle


class OutOfTime(Exception):
    """The budget ended within a trial."""


def study_path(out: Path) -> Path:
    """Name the file that keeps the study of the bundle `out`: next to it."""
    return out.with_name(f"{out.name}.study.jsonl")


@published(kept=True)
def search(
    source: Path, out: Path, config: FitConfig, budget: SearchBudget, stages: Stages
) -> Manifest:
    """Search on the photos of `source`; write the best head, or that of `fit`, as the bundle `out`.

    Raises:
        PhotosError: among others, too few validation photos to choose by.
        SettingError: the study next to `out` is of other photos or settings.
        StorageError: another search is at it, or there is no space.
    """
    check_target(out)
    listing = list_photos(source, out, config, stages)
    config = settle_levels(listing, config, stages)
    compiled = compile_backbone(config, stages)
    with closing(open_cache(compiled, config)) as cache:
        prepared = prepare(listing, out, compiled, cache, config, stages)
        held = len(prepared.split.validation)
        if held < ENOUGH:
            raise PhotosError(
                f"{held} validation photos cannot tell heads apart, {ENOUGH} or more can: "
                "add photos, raise --validation-share, or use fit"
            )
        with closing(Study(study_path(out), recipe(prepared, compiled, config))) as study:
            trials = Trials(study, prepared, config.seed)
            explore(trials, budget, stages)
            with stages.stage("train the best head again"):
                default, winner = (trials.finalist(t) for t in (study.trials[0], study.best))
            found = describe_search(study, default, winner)
            stages.say(found.verdict)
            saved = winner if found.summary["saved"] == winner.trial.number else default
            trained = measure_head(compiled, prepared, saved.head, config, stages)
            trained = replace(trained, searched=found)
            used = config_for(saved.candidate, config)
            return write_bundle(source, out, used, stages, trained, cache)


def recipe(prepared: Dataset, compiled: Compiled, config: FitConfig) -> dict[str, Any]:
    """Collect what a trial's result depends on, but for its parameters."""
    features = prepared.features
    return {
        "photos": fingerprint(prepared.split, features.photos, features.digests)[:16],
        "backbone": config.row.name,
        "weights": compiled.identity,
        "size": config.framing.size,
        "resize": config.framing.resize,
        "fraction": config.framing.fraction,
        **({"levels": config.levels} if config.levels else {}),
        "seed": config.seed,
        "space": VERSION,
    }


def explore(trials: "Trials", budget: SearchBudget, stages: Stages) -> None:
    """Try candidates until the budget is spent; the default of `fit` in any case."""
    study = trials.study
    if study.trials:
        stages.say(f"{study.path.name} has {len(study.trials)} trials; the search goes on")
    trials.ends = time.monotonic() + 60 * budget.minutes - study.seconds
    with stages.stage("search") as show:
        while len(study.trials) < budget.trials and not (study.trials and trials.late()):
            best = study.best.value if study.done else math.inf
            number = len(study.trials)
            show(f"trial {number}, best log loss {best:.4f}" if number else "the default")
            try:
                trials.run_next()
            except OutOfTime:
                break
            if study.best.number == number:
                stages.say(_describe_best(study))
    shares = f"{len(study.done)} of {len(study.trials)} trials ran to their end"
    stages.say(f"{shares}; {study.seconds / 60:.1f} minutes in all")


def _describe_best(study: Study) -> str:
    best = study.best
    facts = f"log loss {best.value:.4f}, accuracy {best.user_attrs['accuracy']:.3f}"
    return f"trial {best.number}: {best.user_attrs['head']}, {facts} on validation photos"


@dataclass
class Trials:
    """Runs the trials of a study, one after the other."""

    study: Study
    prepared: Dataset
    seed: int
    ends: float = math.inf  # time.monotonic() at which the budget is spent

    def __post_init__(self) -> None:
        self.sides = self.prepared.sides(self.seed)
        self.kinds = kinds_for(len(self.sides.train), self.sides.classes)
        self.first = defaults(self.kinds)

    def late(self) -> bool:
        """Return whether the time is up."""
        return time.monotonic() >= self.ends

    def run_next(self) -> None:
        """Run one trial, from its parameters to its line in the file. Raises OutOfTime."""
        started, number = time.perf_counter(), len(self.study.trials)
        kind = next_kind(number, self.kinds)
        drawn = None if number < len(self.first) else self.study.ask(kind, self.seed)
        candidate = suggest_candidate(drawn, kind) if drawn else self.first[number]
        losses: list[float] = []

        def observe(epoch: int, loss: float) -> None:
            if self.late():
                raise OutOfTime
            losses.append(loss)
            if drawn:
                drawn.report(loss, epoch)
                if drawn.should_prune():
                    raise optuna.TrialPruned

        value: float | None = None
        facts: dict[str, Any] = {"head": kind}
        setting: dict[str, float] = {}
        try:
            trained = train_candidate(candidate, self.sides, observe)
            value, setting = trained.loss, trained.head.record.setting
            facts |= {"accuracy": trained.accuracy}
        except optuna.TrialPruned:
            facts |= {"stopped": "worse than most at the same epoch"}
        except Diverged as error:
            facts |= {"stopped": str(error)}
        facts |= {"seconds": time.perf_counter() - started}
        if drawn:
            self.study.tell(drawn, value, facts)
        else:
            params = recall(parameters(candidate, setting), kind)[1]
            self.study.add(params, value, losses, facts)

    def finalist(self, trial: optuna.trial.FrozenTrial) -> Finalist:
        """Train the head of a finished trial once more, and measure it."""
        candidate, _ = recall(trial.params, trial.user_attrs["head"])
        if trial.number < len(self.first):
            candidate = self.first[trial.number]
        head = fit_on_all(train_candidate(candidate, self.sides).head, self.sides)
        return Finalist.measure(trial, candidate, head, self.prepared)
