# SPDX-License-Identifier: Apache-2.0
"""Sets the gauges that follow from the server's state, each time that the metrics are read."""

from __future__ import annotations

import math

from nas.search.state import Search
from nas.selection import Contender
from server.engine import Registry
from server.files import StateFiles
from server.hub import Hub
from server.sinks.gpus import Gpus
from server.sinks.metrics import STATES, Metrics


async def render(metrics: Metrics, registry: Registry, hub: Hub, files: StateFiles, gpus: Gpus) -> bytes:
    """Set every gauge that follows from the state of the server, and return the page.

    It waits until all searches are replayed: a counter that is read before that would look like one that was reset.
    """
    await registry.replayed()
    views = registry.views()
    states = [view.search.state for view in views]
    for state in STATES:
        metrics.search.searches.labels(state.value).set(states.count(state))
    metrics.search.without_room.set(sum(view.is_disk_full for view in views))
    _read_figures(metrics, [view.search for view in views if not view.search.state.is_terminal])
    busy = len(registry.executor.running())
    metrics.training.workers.labels("busy").set(busy)
    metrics.training.workers.labels("free").set(max(0, registry.executor.slots - busy))
    metrics.training.queue.set(registry.queue_length())
    metrics.service.watchers.set(hub.watchers)
    metrics.service.free_bytes.set(files.free_bytes())
    gpus.read_off(metrics.gpu)
    return metrics.render()


def count_recovered(metrics: Metrics, registry: Registry) -> None:
    """Note how many searches go on now that the server has read its journal."""
    metrics.search.recovered.set(sum(not view.search.state.is_terminal for view in registry.views()))


def _read_figures(metrics: Metrics, running: list[Search]) -> None:
    """The best and the smallest child of all running searches together."""
    trained = [_trained(search) for search in running]
    children = [contender for contenders in trained for contender in contenders]
    best = max(children, key=lambda child: (child.evaluation.accuracy, -child.param_count), default=None)
    smallest = min(children, key=lambda child: (child.param_count, -child.evaluation.accuracy), default=None)
    figures = metrics.search
    figures.iteration.set(max((search.iteration for search in running), default=math.nan))
    figures.best_accuracy.set(float(best.evaluation.accuracy) if best else math.nan)
    figures.best_parameters.set(best.param_count if best else math.nan)
    figures.smallest_parameters.set(smallest.param_count if smallest else math.nan)
    figures.smallest_accuracy.set(float(smallest.evaluation.accuracy) if smallest else math.nan)


def _trained(search: Search) -> list[Contender]:
    contenders = (child.contender for child in search.children.values())
    return [contender for contender in contenders if contender is not None and contender.evaluation.is_finite]
