# SPDX-License-Identifier: Apache-2.0
"""Shapes and costs, worked out by hand on nets small enough for it."""

from __future__ import annotations

from typing import Any

import pytest

from nas.architecture import Architecture, initial_architecture
from nas.blocks import AttentionInception, BlockType, ECAInception, Inception, SEInception, seen_window
from nas.config import InputShape
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Layer, Linear, Pool
from nas.shapes import ShapeError, flops, output_shapes, param_count, summarise, training_bytes, weights_bytes

SMALL = InputShape(channels=2, height=8, width=6)
WIDTHS: dict[str, Any] = {"ch1x1": 1, "ch3x3red": 2, "ch3x3": 3, "ch5x5red": 4, "ch5x5": 5, "pool_proj": 6}


def _net(*features: Layer, classes: int = 3) -> Architecture:
    return Architecture((*features, Flatten(), Linear(outputs=classes)))


def test_convolution() -> None:
    """A 3x3 convolution is valid, has a bias and costs two operations a multiply-accumulate."""
    convolution, flatten, head = summarise(_net(Conv(filters=4, kernel=3)), SMALL)

    assert (4, 6, 4) == convolution.output_shape
    assert 4 * (2 * 9 + 1) == convolution.param_count
    assert 2 * (2 * 9) * 4 * (6 * 4) == convolution.flops
    assert (96,) == flatten.output_shape
    assert (3,) == head.output_shape
    assert 3 * (96 + 1) == head.param_count
    assert 2 * 96 * 3 == head.flops


def test_positions_count_from_one() -> None:
    """Summaries come in order, numbered as the paper numbers layers, each with its layer."""
    architecture = _net(Conv(filters=4, kernel=3), Pool(step=1, size=1))

    summaries = summarise(architecture, SMALL)

    assert [1, 2, 3, 4] == [summary.position for summary in summaries]
    assert architecture.layers == tuple(summary.layer for summary in summaries)


@pytest.mark.parametrize(
    ("step", "size", "expected"),
    [(1, 1, (2, 8, 6)), (2, 2, (2, 4, 3)), (2, 3, (2, 3, 2)), (3, 2, (2, 3, 2)), (1, 6, (2, 3, 1)), (9, 1, (2, 1, 1))],
)
def test_pooling(step: int, size: int, expected: tuple[int, ...]) -> None:
    """Pooling keeps whole windows only and costs nothing."""
    pool = summarise(_net(Pool(step=step, size=size)), SMALL)[0]

    assert expected == pool.output_shape
    assert (0, 0) == (pool.param_count, pool.flops)


def test_inception_block() -> None:
    """A block keeps height and width; its six convolutions are counted with their own inputs, the 5x5 as a true 5x5."""
    block = summarise(_net(Inception(**WIDTHS)), SMALL)[0]

    weights = 1 * 2 + 2 * 2 + 3 * 2 * 9 + 4 * 2 + 5 * 4 * 25 + 6 * 2
    biases = 1 + 2 + 3 + 4 + 5 + 6
    assert (1 + 3 + 5 + 6, 8, 6) == block.output_shape
    assert weights + biases == block.param_count
    assert 2 * weights * 48 == block.flops


def test_squeeze_and_excitation() -> None:
    """SE adds two fully connected layers with bias over the output channels, and nothing to the shape."""
    wide = {**WIDTHS, "ch1x1": 18}  # 32 output channels, 2 squeezed
    plain = summarise(_net(Inception(**wide)), SMALL)[0]

    excited = summarise(_net(SEInception(**wide)), SMALL)[0]

    assert plain.output_shape == excited.output_shape
    assert 2 * (32 + 1) + 32 * (2 + 1) == excited.param_count - plain.param_count
    assert 2 * (2 * 32) * 2 == excited.flops - plain.flops


def test_squeeze_is_never_empty() -> None:
    """A block with fewer than 16 output channels is squeezed to one."""
    plain = param_count(_net(Inception(**WIDTHS)), SMALL)

    excited = param_count(_net(SEInception(**WIDTHS)), SMALL)

    assert 1 * (15 + 1) + 15 * (1 + 1) == excited - plain


def test_efficient_channel_attention() -> None:
    """ECA adds one convolution along the channels: its kernel in parameters, no bias, and nothing to the shape."""
    wide = {**WIDTHS, "ch1x1": 242}  # 256 output channels: the kernel is (8 + 1) / 2, rounded down to 4, made odd
    plain = summarise(_net(Inception(**wide)), SMALL)[0]

    attentive = summarise(_net(ECAInception(**wide)), SMALL)[0]

    assert plain.output_shape == attentive.output_shape
    assert 5 == attentive.param_count - plain.param_count
    assert 2 * 5 * 256 == attentive.flops - plain.flops


@pytest.mark.parametrize(("channels", "kernel"), [(4, 1), (7, 1), (8, 3), (127, 3), (128, 5), (511, 5), (2048, 7)])
def test_the_kernel_of_channel_attention_grows_with_the_channels(channels: int, kernel: int) -> None:
    """It is that of Wang et al. 2020, section 3.2.3, with gamma 2 and b 1: the last odd number but one made larger."""
    block = ECAInception(**{**WIDTHS, "ch1x1": channels - 3, "ch3x3": 1, "ch5x5": 1, "pool_proj": 1})

    assert kernel == block.channel_kernel


def test_self_attention() -> None:
    """It adds four projections with bias, two products of maps, which have no parameters, and one scale."""
    plain = summarise(_net(Inception(**WIDTHS)), SMALL)[0]

    attentive = summarise(_net(AttentionInception(**WIDTHS)), SMALL)[0]

    # 15 channels, a head of 4; each of 8 x 6 positions sees 4 x 6 windows of two rows and one column
    projections = 15 * 4 * 48 + 2 * 15 * 4 * 24 + 4 * 15 * 48
    assert plain.output_shape == attentive.output_shape
    assert 3 * 4 * (15 + 1) + 15 * (4 + 1) + 1 == attentive.param_count - plain.param_count
    assert 2 * (projections + 2 * 48 * 4 * 24) == attentive.flops - plain.flops


@pytest.mark.parametrize(
    ("side", "window", "seen"), [(1, 1, 1), (7, 1, 7), (8, 2, 4), (14, 2, 7), (15, 3, 5), (26, 4, 7), (512, 74, 7)]
)
def test_a_position_sees_at_most_seven_windows_in_a_row(side: int, window: int, seen: int) -> None:
    """A window is as small as that allows, and the last one may be cut, so that the cost is linear in the positions."""
    block = AttentionInception(**WIDTHS)
    scores = next(product for product in block.products((2, side, side)) if not product.learned)

    assert (window, window) == seen_window(side, side)
    assert (4, seen**2, side**2) == (scores.fan_in, scores.outputs, scores.sites)


def test_concat_crops_to_the_smaller_map() -> None:
    """Concat() joins the channels of the two layers before it; height and width are the smaller ones of the two."""
    features = (Conv(filters=4, kernel=1), Conv(filters=5, kernel=3), Concat())

    shapes = output_shapes(_net(*features), SMALL)

    assert ((2, 8, 6), (4, 8, 6), (5, 6, 4), (9, 6, 4), (216,), (3,)) == shapes


def test_concat_of_a_concat() -> None:
    """A Concat() may be a source of the next one."""
    features = (Conv(filters=4, kernel=1), Pool(step=1, size=1), Concat(), Concat())

    shapes = output_shapes(_net(*features), SMALL)

    assert (8 + 4, 8, 6) == shapes[4]


@pytest.mark.parametrize(
    ("features", "position", "reason"),
    [
        ((Conv(filters=1, kernel=7),), 1, "a 7x7 window does not fit the 8x6 map it gets"),
        ((Pool(step=1, size=7),), 1, "a 7x7 window does not fit the 8x6 map it gets"),
        ((Conv(filters=1, kernel=5), Pool(step=2, size=2), Conv(filters=1, kernel=2)), 3, "the 2x1 map"),
    ],
)
def test_a_window_larger_than_the_map(features: tuple[Layer, ...], position: int, reason: str) -> None:
    """A net that does not fit its input names the layer, the window and the map."""
    with pytest.raises(ShapeError) as caught:
        summarise(_net(*features), SMALL)

    assert position == caught.value.position
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"layer {position}: ")


def test_totals() -> None:
    """The figures of a net are the sums over its layers; weights take four bytes each."""
    architecture = initial_architecture(BlockType.SE_INCEPTION, 10)
    shape = InputShape(channels=1, height=28, width=28)

    summaries = summarise(architecture, shape)

    assert sum(summary.param_count for summary in summaries) == param_count(architecture, shape)
    assert sum(summary.flops for summary in summaries) == flops(architecture, shape)
    assert 4 * param_count(architecture, shape) == weights_bytes(architecture, shape)


def test_training_bytes() -> None:
    """Training memory is the documented formula, worked out by hand for one convolution, one pool and the head."""
    architecture = _net(Conv(filters=4, kernel=3), Pool(step=2, size=2))
    parameters = 4 * 19 + 3 * (4 * 3 * 2 + 1)
    kept = (2 * 4 * 6 * 4, 3 * 4 * 3 * 2, 0, 2 * 3)

    expected = 4 * (4 * parameters + 10 * (2 * 8 * 6 + sum(kept) + 2 * max(kept)))

    assert expected == training_bytes(architecture, SMALL, 10)


def test_normalisation_by_hand() -> None:
    """Batch normalisation has a scale and a shift in place of the bias, two statistics, and one more stored output."""
    head = (GlobalAverage(), Linear(outputs=3))
    architecture = Architecture((Conv(filters=4, kernel=3, same=True, bn=True), *head))

    convolution, average, linear = summarise(architecture, SMALL)

    parameters = 4 * (2 * 9) + 2 * 4 + 3 * (4 + 1)
    kept = (3 * 4 * 8 * 6, 0, 2 * 3)
    assert (4, 8, 6) == convolution.output_shape
    assert (4 * 18 + 8, 8, 2 * 4 * 18 * 8 * 6) == (convolution.param_count, convolution.statistics, convolution.flops)
    assert ((4,), 0, 0) == (average.output_shape, average.param_count, average.flops)
    assert 4 * (parameters + 8) == weights_bytes(architecture, SMALL)
    expected = 4 * (4 * parameters + 10 * (2 * 8 * 6 + sum(kept) + 2 * max(kept)))
    assert expected == training_bytes(architecture, SMALL, 10)
    assert linear.param_count == 15


def test_an_identity_pool_is_free() -> None:
    """P(1,1) takes no memory, because it hands its input on."""
    convolution = Conv(filters=4, kernel=3)

    with_identity = training_bytes(_net(convolution, Pool(step=1, size=1)), SMALL, 10)

    assert training_bytes(_net(convolution), SMALL, 10) == with_identity


@pytest.mark.parametrize(
    "layer",
    [
        Inception(**WIDTHS),
        SEInception(**WIDTHS),
        SEInception(**WIDTHS, bn=True),
        ECAInception(**WIDTHS),
        AttentionInception(**WIDTHS),
        Conv(filters=15, kernel=1),
        Conv(filters=15, kernel=3, same=True),
    ],
)
def test_every_layer_takes_memory(layer: Layer) -> None:
    """Each layer that computes adds at least its own output to the memory of training."""
    below = training_bytes(_net(Conv(filters=15, kernel=1)), SMALL, 10)

    above = training_bytes(_net(Conv(filters=15, kernel=1), layer), SMALL, 10)

    assert above - below >= 10 * 4 * 15 * 8 * 6
