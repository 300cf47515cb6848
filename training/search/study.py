"""The study: every finished trial of a search, in a file that survives a kill.

A trial goes on in memory, where sampler and pruner know those before it; once finished it is
appended to a journal in Optuna's own format, one line and at most 5 kB each. A trial that was
running when the process died was never written: it comes again with the same parameters,
because the sampler of each trial is seeded by its number.
"""

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from models.bundle import writing
from models.errors import SettingError, StorageError

NAME = "search"
RANDOM_TRIALS = 8  # of a kind, its default among them: before, there is too little to learn from
# Stops what is worse than the median of others at the same epoch (Golovin et al. 2017), once
# four others have come so far, and not while the learning rate still rises.
PRUNER = MedianPruner(n_startup_trials=0, n_warmup_steps=3, n_min_trials=4)


class Study:
    """The trials of one search; nobody else writes to its file meanwhile."""

    def __init__(self, path: Path, recipe: dict[str, Any]):
        """Open the study at `path`, or begin one.

        Args:
            recipe: all that a trial's result depends on but its parameters; plain types.

        Raises:
            SettingError: the study is of another recipe.
            StorageError: it is in use, damaged, or cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.path = path
        self._file = _hold(path)
        try:
            self._kept = _open(path)
            self._check(json.loads(json.dumps(recipe)))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()

    @property
    def trials(self) -> list[FrozenTrial]:
        """Those that came to an end, in order; a trial's number is its place."""
        return self._kept.get_trials(deepcopy=False)

    @property
    def done(self) -> list[FrozenTrial]:
        """Those among them that were not cut short: they have a value."""
        return [trial for trial in self.trials if trial.state == TrialState.COMPLETE]

    @property
    def best(self) -> FrozenTrial:
        """The one with the least value, the first of equals."""
        return min(self.done, key=lambda trial: (trial.value, trial.number))

    @property
    def seconds(self) -> float:
        """That all trials took, whichever process ran them."""
        return sum(float(trial.user_attrs["seconds"]) for trial in self.trials)

    def of_kind(self, kind: str) -> list[FrozenTrial]:
        """List the trials of one kind of head, in order."""
        return [trial for trial in self.trials if trial.user_attrs["head"] == kind]

    def importances(self, kind: str) -> dict[str, float]:
        """Measure how much each parameter decides whether a trial is in the best tenth of its kind.

        PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255); the shares sum to 1.
        """
        found = optuna.importance.get_param_importances(self._alone(kind))
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def ask(self, kind: str, seed: int) -> optuna.Trial:
        """Begin a trial; its parameters depend on the seed and the trials of its kind before it."""
        drawn = np.random.SeedSequence([seed, len(self.trials)]).generate_state(1)
        self._asked = self._alone(kind)
        self._asked.sampler = TPESampler(
            seed=int(drawn[0]), n_startup_trials=RANDOM_TRIALS, constant_liar=False
        )
        return self._asked.ask()

    def tell(self, trial: optuna.Trial, value: float | None, facts: dict[str, Any]) -> None:
        """Keep the trial that `ask` began; value None: cut short. Raises StorageError."""
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        self._keep(self._asked.tell(trial, value, state))

    def add(
        self, trial: FixedTrial, value: float | None, epochs: Sequence[float], facts: dict[str, Any]
    ) -> None:
        """Keep a trial that `ask` did not begin. Raises StorageError."""
        done = optuna.trial.create_trial(
            state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
            params=trial.params,
            distributions=trial.distributions,
            value=value,
            intermediate_values=dict(enumerate(epochs)),
            user_attrs=facts,
        )
        self._keep(done)

    def _alone(self, kind: str) -> optuna.Study:
        """Copy the trials of one kind into a study in memory: sampler and pruner see no others."""
        study = optuna.create_study(direction="minimize", pruner=PRUNER)
        study.add_trials(self.of_kind(kind))
        return study

    def _keep(self, trial: FrozenTrial) -> None:
        with writing(self.path):
            self._kept.add_trial(trial)

    def _check(self, recipe: dict[str, Any]) -> None:
        kept = self._kept.user_attrs.get("recipe")
        if kept is None:
            with writing(self.path):
                self._kept.set_user_attr("recipe", recipe)
            return
        names = [name for name in kept | recipe if kept.get(name) != recipe.get(name)]
        if names:
            changes = "; ".join(f"{n} was {kept.get(n)}, is {recipe.get(n)}" for n in names)
            raise SettingError(
                f"{self.path} is the study of another search ({changes}): "
                "choose another --out, or remove it to begin anew"
            )


class _Held(JournalFileOpenLock):
    """No lock for each line: the whole file is held."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _hold(path: Path) -> BinaryIO:
    """Open the file, ours alone until it is closed, and drop a line that was cut short."""
    with writing(path):
        file = path.open("ab+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        except BlockingIOError as error:
            file.close()
            raise StorageError(
                f"another search is writing {path}: wait for it, or choose another --out"
            ) from error
    return file


def _open(path: Path) -> optuna.Study:
    try:
        storage = JournalStorage(JournalFileBackend(str(path), _Held(str(path))))
        make = optuna.load_study if optuna.get_all_study_names(storage) else optuna.create_study
        return make(storage=storage, study_name=NAME)
    except OSError:
        with writing(path):
            raise
    except Exception as error:  # lines that are not Optuna's fail in many ways
        raise StorageError(
            f"{path} is not the study of a search, or damaged ({error!r}): move it away"
        ) from error
