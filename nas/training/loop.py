# SPDX-License-Identifier: Apache-2.0
"""Train one child: a generator of epochs that neither logs nor knows its caller (paper section IV.D.2)."""

from __future__ import annotations

from collections.abc import Callable, Generator

from nas.child import EpochResult
from nas.training.attempt import Attempt, Listener
from nas.training.checkpoint import find_checkpoint, list_positions
from nas.training.device import resolve_runtime
from nas.training.fingerprint import compute_fingerprint
from nas.training.request import Diverged, FitOutcome, FitRequest, Interrupted, TrainingData


def fit(
    request: FitRequest,
    data: TrainingData,
    on_step: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_checkpoint: Callable[[float], None] = lambda _: None,
) -> Generator[EpochResult, None, FitOutcome]:
    """Train a child, from its newest checkpoint if there is one, and keep its best weights.

    Yields one result per epoch, from epoch 1; a continued training first yields those of its checkpoint as they were
    recorded. Each epoch is checkpointed before it is yielded, so closing the generator at a yield loses nothing.

    Args:
        request: the child and how to train it.
        data: the two parts that training may see.
        on_step: called after every batch, as a sign of progress.
        should_stop: called before every step. Once it returns True, the steps done are checkpointed and no further one
            is taken. A validation that has begun is finished; the steps before it are checkpointed first.
        on_checkpoint: called after every checkpoint with the seconds that it took.

    Returns:
        Trained; or Interrupted if it was asked to stop before the last step; or Diverged as soon as a loss is not
        finite, without yielding that epoch.

    Raises:
        DataMismatchError: the images or labels do not fit the net.
        DeviceUnavailableError: the device asked for is not there.
        InheritanceError: the weights to start from are missing, have changed or do not fit.
        ShapeError: a layer does not fit the map it gets.
        OSError: a checkpoint cannot be written.
    """
    data.require_fit(request)
    attempt = Attempt(request, data, Listener(on_step=on_step, should_stop=should_stop, on_checkpoint=on_checkpoint))
    yield from attempt.history
    while not attempt.is_over:
        outcome = attempt.run_epoch()
        if isinstance(outcome, (Diverged, Interrupted)):
            return outcome
        yield outcome
    return attempt.finish()


def find_resumed_epoch(request: FitRequest, data: TrainingData) -> int:
    """Return how many whole epochs ``fit`` would take over from a checkpoint; deletes nothing.

    Raises:
        DeviceUnavailableError: the device asked for is not there.
    """
    folder = request.checkpoint_dir
    if folder is None or not list_positions(folder):
        return 0
    runtime = resolve_runtime(request.training, request.threads)
    epochs, _ = find_checkpoint(folder, compute_fingerprint(request, runtime, data)) or (0, 0)
    return epochs
