# SPDX-License-Identifier: Apache-2.0
"""The events of a search of any length, as a server would stream them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import search_records as records

from nas.api.v1 import event_pb2, search_pb2

BEGIN = 1_700_000_000
"""When it was started, in seconds since 1970 by the server's clock."""
CHILDREN = 8
EPOCHS = 10
BEST = search_pb2.Choice(
    role=search_pb2.ROLE_BEST,
    rule=search_pb2.RULE_HIGHEST_METRIC,
    child_id="1-3",
    metric_value=0.9,
    param_count=418_018,
    runner_up="1-1",
    margin=0.0125,
    tie_break=search_pb2.TIE_BREAK_NONE,
)


def event(sequence: int, seconds: int | None = None, **fact: Any) -> event_pb2.Event:
    """One event; it happens a second after the one before unless told otherwise."""
    seconds = sequence if seconds is None else seconds
    made = event_pb2.Event(search_id=records.SEARCH_ID, sequence=sequence, **fact)
    made.running_time.FromSeconds(seconds)
    made.time.FromSeconds(BEGIN + seconds)
    return made


def proposed(child_id: str, parent_id: str = "0-1") -> event_pb2.ChildProposed:
    """A widened child."""
    return event_pb2.ChildProposed(
        child_id=child_id, parent_id=parent_id, transformation=records.WIDEN, architecture=records.ARCHITECTURE
    )


def launched(child_id: str, attempt: int = 1) -> event_pb2.AttemptLaunched:
    """An attempt at a training."""
    return event_pb2.AttemptLaunched(child_id=child_id, attempt=attempt, kind=search_pb2.ATTEMPT_KIND_TRAINING)


def started(child_id: str, attempt: int = 1, after: int = 0) -> event_pb2.AttemptStarted:
    """A worker that is ready."""
    runtime = records.winner().runtime
    return event_pb2.AttemptStarted(child_id=child_id, attempt=attempt, runtime=runtime, resumed_after_epoch=after)


def epoch(child_id: str, number: int) -> event_pb2.EpochCompleted:
    """An epoch at 512 images per second."""
    result = search_pb2.EpochResult(epoch=number, validation=records.VALIDATION, images_per_second=512)
    return event_pb2.EpochCompleted(child_id=child_id, attempt=1, result=result)


def succeeded(child_id: str) -> event_pb2.ChildSucceeded:
    """A trained child."""
    return event_pb2.ChildSucceeded(
        child_id=child_id, attempt=1, epoch_count=EPOCHS, best_epoch=EPOCHS, evaluation=records.VALIDATION
    )


def selected(iteration: int, child_id: str) -> event_pb2.ChildrenSelected:
    """A selection of one child."""
    choice = search_pb2.Choice()
    choice.CopyFrom(BEST)
    choice.child_id = child_id
    return event_pb2.ChildrenSelected(iteration=iteration, choices=[choice], incumbent_id=child_id)


def long_search(length: int) -> list[event_pb2.Event]:
    """The first ``length`` events of a search that goes on and on."""
    return [event(sequence, **fact) for sequence, fact in enumerate(islice(_facts(), length), start=1)]


def search_started() -> event_pb2.SearchStarted:
    """Ten epochs per child, thirty iterations, twelve hours."""
    config = search_pb2.SearchConfig()
    config.CopyFrom(records.CONFIG)
    config.training.max_epochs = EPOCHS
    config.max_iterations = 30
    return event_pb2.SearchStarted(config=config, request_id=records.REQUEST_ID, dataset=records.DATASET)


def _facts() -> Iterator[dict[str, Any]]:
    yield {"search_started": search_started()}
    yield {"child_proposed": event_pb2.ChildProposed(child_id="0-1", architecture=records.ARCHITECTURE)}
    for iteration in count(1):
        ids = [f"{iteration}-{index}" for index in range(1, CHILDREN + 1)]
        yield {"iteration_started": event_pb2.IterationStarted(iteration=iteration, parent_ids=["0-1"])}
        for child_id in ids:
            yield {"child_proposed": proposed(child_id)}
        for child_id in ids:
            yield {"attempt_launched": launched(child_id)}
            yield {"attempt_started": started(child_id)}
            for number in range(1, EPOCHS + 1):
                yield {"epoch_completed": epoch(child_id, number)}
            yield {"child_succeeded": succeeded(child_id)}
        yield {"children_selected": selected(iteration, ids[2])}
