# SPDX-License-Identifier: Apache-2.0
"""The closed forms of nas.shapes against torch itself, on nets that exist only as shapes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, input_shapes
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture import Architecture
from nas.config import InputShape
from nas.models import build
from nas.shapes import flops, output_shapes, param_count, weights_bytes


@st.composite
def nets(draw: st.DrawFn) -> tuple[Architecture, InputShape]:
    """An input and a net that fits it."""
    input_shape = draw(input_shapes(max_side=24))
    return draw(architectures(max_layers=6, input_shape=input_shape)), input_shape


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(nets())
def test_closed_forms_equal_torch_on_1000_random_nets(net: tuple[Architecture, InputShape]) -> None:
    """Parameters, FLOPs of an image, logits and bytes of the weights agree, on the same nets in every run."""
    architecture, shape = net
    with torch.device("meta"):
        model = build(architecture, shape)
        image = torch.empty(1, shape.channels, shape.height, shape.width)

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits = model(image)

    assert param_count(architecture, shape) == sum(parameter.numel() for parameter in model.parameters())
    assert flops(architecture, shape) == counter.get_total_flops()
    assert (1, *output_shapes(architecture, shape)[-1]) == logits.shape
    assert weights_bytes(architecture, shape) == 4 * sum(tensor.numel() for tensor in model.state_dict().values())
