# SPDX-License-Identifier: Apache-2.0
"""Training of nets around the blocks with attention that the paper does not have: it continues bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_training import CLASSES, Stopper, make_data, make_request, run_fit, without_times

from nas.architecture import Architecture
from nas.blocks import BlockType, make_block
from nas.config import Precision
from nas.layers import Conv, Flatten, GlobalAverage, Linear, Pool
from nas.training import Trained

WIDTHS = (4, 2, 4, 2, 4, 4)
BLOCKS = (BlockType.ECA_INCEPTION, BlockType.ATTENTION_INCEPTION)


def _net(block: BlockType) -> Architecture:
    """Two blocks, one of them with batch normalisation, on maps of 6x6 and 3x3."""
    return Architecture(
        (
            Conv(filters=4, kernel=3),
            make_block(block, WIDTHS),
            Pool(step=2, size=2),
            make_block(block, WIDTHS, bn=True),
            GlobalAverage(),
            Linear(outputs=CLASSES),
        )
    )


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize("batches", [1, 7, 13])
def test_an_interruption_changes_nothing(tmp_path: Path, block: BlockType, precision: Precision, batches: int) -> None:
    """Within an epoch and within a validation: the same losses and the same weights."""
    recipe: dict[str, Any] = {"learning_rate": 0.02, "precision": precision}
    undisturbed, expected = run_fit(make_request(_net(block), **recipe), make_data())

    run_fit(make_request(_net(block), tmp_path, **recipe), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(_net(block), tmp_path, **recipe), make_data())

    assert isinstance(outcome, Trained)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_last_batch_of_one_image(block: BlockType) -> None:
    """It trains as any other batch does."""
    net = Architecture((make_block(block, WIDTHS), Flatten(), Linear(outputs=CLASSES)))

    _, outcome = run_fit(make_request(net, batch_size=16), make_data(train=17))

    assert isinstance(outcome, Trained)
