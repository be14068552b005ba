# SPDX-License-Identifier: Apache-2.0
"""The finishing stage: the nets that a search ends with are trained once more, in full, before one of them is tested.

Strategies do not see it. Its children are trained like all others, with a recipe of their own.
"""

from __future__ import annotations

from dataclasses import replace

from nas.child import ChildId
from nas.config import TrainingConfig
from nas.recipe import Finish, finishing_epochs
from nas.search.state import Child, Search


def training_of(search: Search, child_id: ChildId) -> TrainingConfig:
    """Return how a child is trained: as the search was asked to, or for longer in the finishing stage."""
    stage = search.finishing
    if stage is None or child_id.iteration != stage.iteration:
        return search.config.training
    return finished(search.config.training, search.config.finish, _train_images(search))


def finished(training: TrainingConfig, finish: Finish, train_images: int) -> TrainingConfig:
    """Return the settings of a finishing training with so many images: the same ones, with more epochs."""
    if finish is Finish.NONE:
        return training
    return replace(training, max_epochs=finishing_epochs(training, finish, train_images), min_steps=0)


def nets_to_finish(search: Search) -> tuple[Child, ...]:
    """Return the children whose nets would be finished if the search stopped now: the best one and the smallest."""
    best, smallest = search.incumbent, search.smallest
    if best is None:
        return ()
    return (best,) if smallest is None or smallest.child_id == best.child_id else (best, smallest)


def finishing_seconds(search: Search) -> float:
    """Estimate how long finishing would take if the search stopped now: 0 if there is none, or nothing is trained.

    Every epoch of a net is taken to last as long as its epochs did so far, and the nets to be trained one after the
    other: how many workers will be free is not known, and a time budget is better kept than used up.
    """
    if search.config.finish is Finish.NONE:
        return 0.0
    epochs = finishing_epochs(search.config.training, search.config.finish, _train_images(search))
    return sum(epochs * _mean_epoch_seconds(child) for child in nets_to_finish(search))


def _mean_epoch_seconds(child: Child) -> float:
    return sum(result.seconds for result in child.epochs) / max(1, len(child.epochs))


def _train_images(search: Search) -> int:
    return sum(search.started.dataset.counts.train)
