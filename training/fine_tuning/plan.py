"""What fine-tuning will do: its cut, views and epochs, as set or as many as time allows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from training.fine_tuning.budget import (
    AFTERWARDS_S,
    MOST_EPOCHS,
    Plan,
    enough_epochs,
    measure_step,
    measure_view,
    plan_within,
)
from training.fine_tuning.cut import Upper, choose_cut, cut_network, later_cut
from training.fine_tuning.start import Start
from training.optimisation.checkpoint import Checkpoint
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import BLOCKS

ENOUGH_EPOCHS = 3  # where fewer fit into the time, less is trained


@dataclass(frozen=True)
class Planned:
    """The network at its cut, and the plan."""

    upper: Upper
    plan: Plan
    states: Sequence[Checkpoint] = ()  # to discard when the result is safe


def plan_tuning(start: Start, config: FitConfig, stages: Stages) -> Planned:
    """Choose cut, views and epochs; a run that was stopped keeps the plan it had.

    Raises:
        SettingError, UnknownLayer: the cut is not a layer that every path passes through.
    """
    usual = config.hyperparameters(BLOCKS)
    cut = choose_cut(start.layers, config.cut)
    if config.minutes is None:
        epochs = usual.epochs
        if config.epochs is None:
            epochs = enough_epochs(epochs, len(start.split.train), usual.batch)
        plan = Plan(config.random_views.views, epochs)
        return Planned(cut_start(start, config, cut), plan)
    name = start.store_name(config, cut)
    kept = Checkpoint(config.cache, ("plan", config.minutes, usual, name, start.content()))
    if found := kept.load([]):
        upper = cut_start(start, config, found.facts.pop("cut"))
        return Planned(upper, Plan(**found.facts), [kept])
    with stages.stage("see what fits into the time"):
        ends = start.began + 60 * config.minutes
        upper, plan = plan_until(ends, start, config, cut)
    stages.say(
        f"in {config.minutes:g} minutes: {plan.views} views and {plan.epochs} epochs "
        f"of what follows {upper.cut}"
    )
    kept.save(vars(plan) | {"cut": upper.cut}, [])
    return Planned(upper, plan, [kept])


def plan_until(ends: float, start: Start, config: FitConfig, cut: str) -> tuple[Upper, Plan]:
    """Plan what fits until `ends`, in time.monotonic(), by trying some steps.

    Where too few epochs fit at the first cut, and none was set, the network is cut one block
    later: less is trained, but for longer.
    """
    cuts = [cut]
    if config.cut is None and (after := later_cut(start.layers, cut)):
        cuts.append(after)
    batch, photos = config.hyperparameters(BLOCKS).batch, len(start.split.train)
    for name in cuts:
        upper = cut_start(start, config, name)
        view_s = measure_view(upper.lower, config.workers)
        step_s = measure_step(upper.model, batch)
        plan = plan_within(
            ends - time.monotonic() - AFTERWARDS_S * config.views_served,
            photos=photos,
            validation=len(start.split.validation),
            view_s=view_s,
            step_s=step_s,
            most=enough_epochs(MOST_EPOCHS, photos, batch),
        )
        if plan.epochs >= ENOUGH_EPOCHS:
            break
    return upper, plan


def cut_start(start: Start, config: FitConfig, cut: str) -> Upper:
    """Divide the network with its head at a cut."""
    dropout = config.hyperparameters(BLOCKS).dropout
    return cut_network(start.backbone, start.head, cut, dropout, config)
