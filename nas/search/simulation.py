# SPDX-License-Identifier: Apache-2.0
"""Made-up measurements that behave like a search: for tests and demonstrations of everything except training.

A pure function of seed, graph and epoch, so every run of the same search finds the same result.
"""

from __future__ import annotations

import math

from nas.child import EpochResult, Evaluation
from nas.seeds import derive_seed

_NOISE_STEPS = 10_000


def simulate_epoch(
    *, search_seed: int, graph_hash: str, iteration: int, epoch: int, totals: tuple[int, ...]
) -> EpochResult:
    """Return a plausible result of one epoch.

    Each iteration is a little better than the one before, so that caps end the search; losses fall with the epochs.

    Args:
        search_seed: seed of the search.
        graph_hash: which net.
        iteration: the child's; raises the accuracy.
        epoch: counted from 1.
        totals: validation images per class.
    """
    noise = derive_seed(search_seed, "simulation", graph_hash) % _NOISE_STEPS / _NOISE_STEPS
    level = 1.0 - 0.5 * math.exp2(-iteration) - 0.1 * math.exp2(-epoch) - 0.05 * noise * math.exp2(-iteration)
    correct = tuple(min(total, math.floor(total * level)) for total in totals)
    evaluation = Evaluation(loss=1.0 - level + 0.001 * noise, correct=correct, total=totals)
    return EpochResult(
        epoch=epoch, training_loss=1.0 - level, validation=evaluation, seconds=0.0, images_per_second=0.0
    )


def simulated_weights(*, search_seed: int, graph_hash: str) -> bytes:
    """Return what stands for the weights file of a net that was never trained."""
    return f"simulated weights of {graph_hash} with seed {search_seed}\n".encode()
