# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for the values that the core works on: inputs, nets, measured children."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from nas.architecture import Architecture
from nas.blocks import BlockType, make_block
from nas.child import ChildId, Evaluation
from nas.config import InputShape
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Layer, Linear, Pool
from nas.selection import Contender
from nas.shapes import output_shapes

GREY_28 = InputShape(channels=1, height=28, width=28)


def input_shapes(*, min_side: int = 1, max_side: int = 32) -> st.SearchStrategy[InputShape]:
    """Images of one to three channels, not necessarily square."""
    side = st.integers(min_side, max_side)
    return st.builds(InputShape, channels=st.integers(1, 3), height=side, width=side)


def blocks(*, max_width: int = 24) -> st.SearchStrategy[Layer]:
    """Blocks of every type with small widths, some with options."""
    widths = st.tuples(*[st.integers(1, max_width)] * 6)
    plain = st.builds(make_block, st.sampled_from(BlockType), widths, bn=st.booleans())
    return plain | st.builds(make_block, st.just(BlockType.SE_INCEPTION), widths, ratio=st.integers(1, 4))


def convolutions(*, max_width: int, windows: st.SearchStrategy[int]) -> st.SearchStrategy[Layer]:
    """Convolutions whose kernel is one of ``windows``, 'same' ones only where it is odd."""
    filters = st.integers(1, max_width)
    valid = st.builds(Conv, filters=filters, kernel=windows, bn=st.booleans())
    return valid | st.builds(
        Conv, filters=filters, kernel=st.sampled_from((1, 3, 5)), same=st.just(True), bn=st.booleans()
    )


@st.composite
def architectures(
    draw: st.DrawFn, *, min_layers: int = 0, max_layers: int = 8, input_shape: InputShape = GREY_28, max_width: int = 24
) -> Architecture:
    """Nets that fit ``input_shape``, with ``min_layers`` to ``max_layers`` layers before the head.

    A Concat() may add up the channels of all before it, so keep ``max_layers`` small where nets are built.
    """
    head = (draw(st.sampled_from((Flatten(), GlobalAverage()))), Linear(outputs=draw(st.integers(1, 12))))
    features: tuple[Layer, ...] = ()
    for _ in range(draw(st.integers(min_layers, max_layers))):
        _, height, width = output_shapes(Architecture((*features, *head)), input_shape)[len(features)]
        windows = st.integers(1, min(height, width, 5))
        choices: list[st.SearchStrategy[Layer]] = [
            convolutions(max_width=max_width, windows=windows),
            st.builds(Pool, step=st.integers(1, 3), size=windows),
            st.just(Pool(step=1, size=1)),
            blocks(max_width=max_width),
        ]
        if len(features) >= 2:
            choices.append(st.just(Concat()))
        features = (*features, draw(st.one_of(choices)))
    return Architecture((*features, *head))


@st.composite
def evaluations(draw: st.DrawFn, *, classes: int = 3) -> Evaluation:
    """Measurements over few images, so that ties are frequent; the loss may be NaN or infinite."""
    total = draw(st.lists(st.integers(0, 3), min_size=classes, max_size=classes).filter(any))
    correct = [draw(st.integers(0, images)) for images in total]
    loss = draw(st.sampled_from([0.1, 0.2, math.nan, math.inf, -math.inf]))
    return Evaluation(loss=loss, correct=tuple(correct), total=tuple(total))


def contenders(*, max_size: int = 8) -> st.SearchStrategy[list[Contender]]:
    """Children with distinct ids and few distinct sizes, so that every tie occurs."""
    child_ids = st.builds(ChildId, st.integers(1, 3), st.integers(1, 12))
    each = st.builds(Contender, child_id=child_ids, param_count=st.integers(1, 4), evaluation=evaluations())
    return st.lists(each, max_size=max_size, unique_by=lambda contender: contender.child_id)
