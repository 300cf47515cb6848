"""Show how a run learnt: the curves of each training by gradient descent, and what they mean."""

from dataclasses import dataclass
from functools import cached_property

from training.optimisation.epochs import Curves, RateSearch
from training.report.drawings import draw_curves, draw_rates
from training.report.verdicts import Verdict, diagnose
from training.settings.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class LearningRun:
    """One training by gradient descent, as the section "How it learnt" shows it."""

    title: str
    curves: Curves  # 1 epoch or more
    settings: Hyperparameters
    rate_search: RateSearch | None = None  # the learning rates tried before, with --find-rate

    @cached_property
    def verdict(self) -> Verdict:
        """What the curves mean, and what to try next."""
        return diagnose(self.curves, self.settings, rate_found=self.rate_search is not None)

    @cached_property
    def picture(self) -> bytes:
        """The curves as a PNG."""
        return draw_curves(self.curves)

    @cached_property
    def rates_picture(self) -> bytes | None:
        """The learning rates tried as a PNG."""
        return draw_rates(self.rate_search) if self.rate_search else None
