# SPDX-License-Identifier: Apache-2.0
"""Blocks and whole nets against the same sums written out with torch's functions."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.architecture import Architecture, initial_architecture
from nas.blocks import AttentionInception, BlockType, ECAInception, Inception, SEInception, make_block
from nas.config import InputShape
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Layer, Linear, Pool
from nas.models import (
    AttentionInceptionBlock,
    BatchNorm,
    Concatenation,
    ConvReLU,
    ECAInceptionBlock,
    InceptionBlock,
    Network,
    SEInceptionBlock,
    build,
)
from nas.models.blocks import MODULES
from nas.shapes import ShapeError

WIDTHS: dict[str, Any] = {"ch1x1": 2, "ch3x3red": 3, "ch3x3": 4, "ch5x5red": 5, "ch5x5": 6, "pool_proj": 20}
GREY_12 = InputShape(channels=1, height=12, width=12)


def _images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def _net(*features: Layer, classes: int = 3) -> Network:
    return build(Architecture((*features, Flatten(), Linear(outputs=classes))), GREY_12)


def _convolve(conv: nn.Conv2d, x_NCHW: Tensor, padding: int = 0) -> Tensor:
    return functional.conv2d(x_NCHW, conv.weight, conv.bias, padding=padding).clamp(min=0)


def _join_branches(block: InceptionBlock, x_NCHW: Tensor) -> Tensor:
    pooled = functional.max_pool2d(x_NCHW, 3, stride=1, padding=1)
    return torch.cat(
        [
            _convolve(block.ch1x1, x_NCHW),
            _convolve(block.ch3x3, _convolve(block.ch3x3red, x_NCHW), padding=1),
            _convolve(block.ch5x5, _convolve(block.ch5x5red, x_NCHW), padding=2),
            _convolve(block.pool_proj, pooled),
        ],
        dim=1,
    )


def test_convolution_is_valid_and_rectified() -> None:
    """C(a,b) shrinks the map by b - 1 and has no negative output."""
    conv = ConvReLU(2, 3, 3)
    x_NCHW = _images(2, 2, 5, 7)

    output = conv(x_NCHW)

    assert (2, 3, 3, 5) == output.shape
    assert torch.equal(_convolve(conv, x_NCHW), output)


def test_block_joins_four_branches_in_order_of_the_notation() -> None:
    """Each branch convolves with 'same' padding and ReLU after every convolution; widths sum up to the output's."""
    block = InceptionBlock(3, Inception(**WIDTHS))
    x_NCHW = _images(2, 3, 5, 7)

    output = block(x_NCHW)

    assert (2, 32, 5, 7) == output.shape
    torch.testing.assert_close(_join_branches(block, x_NCHW), output)


def test_third_branch_is_a_true_5x5() -> None:
    """Unlike torchvision's GoogLeNet, the 5x5 branch has a 5x5 window."""
    block = InceptionBlock(3, Inception(**WIDTHS))

    assert (6, 5, 5, 5) == block.ch5x5.weight.shape


def test_se_block_rescales_the_channels_of_the_joined_output() -> None:
    """Squeeze is the global average, excitation two linear layers with ReLU and sigmoid."""
    block = SEInceptionBlock(3, SEInception(**WIDTHS))
    x_NCHW = _images(2, 3, 5, 7)

    output = block(x_NCHW)

    joined = _join_branches(block, x_NCHW)
    hidden = functional.linear(joined.mean(dim=(2, 3)), block.squeeze.weight, block.squeeze.bias).clamp(min=0)
    scale = functional.linear(hidden, block.excite.weight, block.excite.bias).sigmoid()
    torch.testing.assert_close(joined * scale.reshape(2, 32, 1, 1), output)


@pytest.mark.parametrize(("pool_proj", "hidden"), [(20, 2), (19, 1), (1, 1)])
def test_se_hidden_width_is_a_sixteenth_and_at_least_one(pool_proj: int, hidden: int) -> None:
    """C channels are squeezed to max(1, floor(C/16)), and both layers have a bias."""
    block = SEInceptionBlock(3, SEInception(**{**WIDTHS, "pool_proj": pool_proj}))

    assert (hidden, 12 + pool_proj) == block.squeeze.weight.shape
    assert block.squeeze.bias is not None
    assert block.excite.bias is not None


def test_eca_block_rescales_by_neighbouring_channels() -> None:
    """Each channel is weighed by its average and those beside it; beyond the first and last channel there is 0."""
    block = ECAInceptionBlock(3, ECAInception(**WIDTHS))
    x_NCHW = _images(2, 3, 5, 7)

    output = block(x_NCHW)

    joined = _join_branches(block, x_NCHW)
    averages = functional.pad(joined.mean(dim=(2, 3)), (1, 1))
    left, centre, right = block.attend.weight.flatten()
    scale = (left * averages[:, :-2] + centre * averages[:, 1:-1] + right * averages[:, 2:]).sigmoid()
    assert block.attend.bias is None
    torch.testing.assert_close(joined * scale.reshape(2, 32, 1, 1), output)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 3, 8, 16)])
def test_attention_block_starts_as_inception(shape: tuple[int, ...]) -> None:
    """The scale of what attention adds is 0 at first, and learns at once."""
    block = AttentionInceptionBlock(3, AttentionInception(**WIDTHS))
    x_NCHW = _images(*shape)

    output = block(x_NCHW)
    output.square().sum().backward()

    torch.testing.assert_close(_join_branches(block, x_NCHW), output)
    assert block.scale.grad is not None
    assert 0 != block.scale.grad


def test_attention_block_adds_what_each_position_asks_for() -> None:
    """Position by position: a softmax over windows of 2 x 3, cut at the edges, weighs their values."""
    block = AttentionInceptionBlock(3, AttentionInception(**WIDTHS))
    with torch.no_grad():
        block.scale.fill_(0.5)
    x_NCHW = _images(1, 3, 9, 16)

    output = block(x_NCHW)

    joined = _join_branches(block, x_NCHW)[0]  # 32 channels: a head of 4
    windows = [joined[:, y : y + 2, x : x + 3].mean(dim=(1, 2)) for y in range(0, 9, 2) for x in range(0, 16, 3)]
    keys = [_project(block.key, window) for window in windows]
    values = torch.stack([_project(block.value, window) for window in windows])
    for y, x in ((0, 0), (3, 5), (8, 15)):
        query = _project(block.query, joined[:, y, x])
        weights = torch.stack([query @ key / 2 for key in keys]).softmax(dim=0)
        expected = joined[:, y, x] + 0.5 * _project(block.output, weights @ values)
        torch.testing.assert_close(expected, output[0, :, y, x])


def _project(conv: nn.Conv2d, x_C: Tensor) -> Tensor:
    return functional.linear(x_C, conv.weight[:, :, 0, 0], conv.bias)


@pytest.mark.parametrize("block", BlockType)
@pytest.mark.parametrize("bn", [False, True])
@pytest.mark.parametrize("side", [5, 26])
def test_what_a_block_stores_is_estimated_from_above(block: BlockType, bn: bool, side: int) -> None:
    """What torch stores of two images for the backward pass, without weights and input, is at most the closed form."""
    layer = make_block(block, (8, 2, 8, 2, 8, 8), bn=bn)
    module, x_NCHW = MODULES[type(layer)](layer, 3), _images(2, 3, side, side)
    known = {tensor.untyped_storage().data_ptr() for tensor in (x_NCHW, *module.state_dict().values())}
    stored: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        stored[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = module(x_NCHW)

    values = sum(size for place, size in stored.items() if place not in known) / 4
    assert values + output.numel() <= 2 * layer.kept_values((3, side, side)) <= 4 * values


@pytest.mark.parametrize(
    ("near", "far", "rows", "columns"),
    [
        ((4, 4), (4, 4), slice(0, 4), slice(0, 4)),
        ((4, 4), (6, 6), slice(1, 5), slice(1, 5)),
        ((4, 4), (7, 9), slice(1, 5), slice(2, 6)),
    ],
)
def test_concatenation_cuts_the_larger_map_out_of_its_centre(
    near: tuple[int, int], far: tuple[int, int], rows: slice, columns: slice
) -> None:
    """The nearer map's channels come first; a difference d leaves floor(d/2) rows or columns out at the top or left."""
    near_NCHW, far_NCHW = _images(1, 2, *near), _images(1, 3, *far)

    output = Concatenation()(near_NCHW, far_NCHW)

    assert torch.equal(near_NCHW, output[:, :2])
    assert torch.equal(far_NCHW[:, :, rows, columns], output[:, 2:])


def test_concatenation_cuts_the_nearer_map_where_that_is_larger() -> None:
    """Each side is cut on its own, whichever map is the larger there."""
    near_NCHW, far_NCHW = _images(1, 1, 7, 4), _images(1, 1, 4, 6)

    output = Concatenation()(near_NCHW, far_NCHW)

    assert torch.equal(near_NCHW[:, :, 1:5, :], output[:, :1])
    assert torch.equal(far_NCHW[:, :, :, 1:5], output[:, 1:])


def test_concat_may_be_a_source_of_concat() -> None:
    """Concat() at position p joins the outputs of p-1 and p-2, whatever those are."""
    net = _net(Conv(filters=2, kernel=3), Conv(filters=3, kernel=3), Concat(), Concat(), classes=2)
    x_NCHW = _images(1, 1, 12, 12)

    logits = net(x_NCHW)

    conv1, conv2, head = net.layers["1"], net.layers["2"], net.layers["6"]
    assert isinstance(conv1, ConvReLU)
    assert isinstance(conv2, ConvReLU)
    assert isinstance(head, nn.Linear)
    first = _convolve(conv1, x_NCHW)
    second = _convolve(conv2, first)
    third = torch.cat([second, first[:, :, 1:-1, 1:-1]], dim=1)
    fourth = torch.cat([third, second], dim=1)
    torch.testing.assert_close(functional.linear(fourth.flatten(1), head.weight, head.bias), logits)


def test_identity_pool_costs_nothing() -> None:
    """P(1,1) has no weights and hands the very same map on."""
    pool = _net(Pool(step=1, size=1)).layers["1"]
    x_NCHW = _images(1, 1, 3, 3)

    assert [] == list(pool.parameters())
    assert pool(x_NCHW) is x_NCHW


def test_pool_takes_step_then_size() -> None:
    """P(2,3) is max pooling with a 3x3 window moved by 2."""
    pool = _net(Pool(step=2, size=3)).layers["1"]
    x_NCHW = _images(1, 1, 12, 12)

    assert torch.equal(functional.max_pool2d(x_NCHW, kernel_size=3, stride=2), pool(x_NCHW))


def test_initial_model_has_the_papers_size() -> None:
    """The initial model on MNIST gives one logit a class and has 1,610,938 weights and biases."""
    shape = InputShape(channels=1, height=28, width=28)
    net = build(initial_architecture(BlockType.INCEPTION, 10), shape)

    logits = net(_images(2, 1, 28, 28))

    assert (2, 10) == logits.shape
    assert 1_610_938 == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("block", BlockType)
def test_every_weight_has_a_part_in_the_answer(block: BlockType) -> None:
    """No layer is left out of the forward pass: each weight gets a gradient."""
    first, second = make_block(block, (2, 3, 4, 5, 6, 20)), Inception(**WIDTHS)
    net = _net(Conv(filters=4, kernel=3), first, Pool(step=2, size=2), Concat(), second)

    net(_images(2, 1, 12, 12)).sum().backward()

    assert [] == [name for name, parameter in net.named_parameters() if parameter.grad is None]


def test_weights_are_named_by_position() -> None:
    """Names are part of the stored weights, so they stay."""
    net = _net(Conv(filters=4, kernel=3), Pool(step=1, size=1), SEInception(**WIDTHS))

    names = {name.removesuffix(".weight") for name in net.state_dict() if name.endswith(".weight")}

    block = {f"layers.3.{part}" for part in (*WIDTHS, "squeeze", "excite")}
    assert {"layers.1", "layers.5"} | block == names


def test_maps_that_no_concat_needs_are_freed() -> None:
    """Without gradients, the first map is gone when the third layer has run, unless a Concat() reads it."""
    convs = (Conv(filters=2, kernel=3), Conv(filters=2, kernel=3))

    assert not _is_first_map_alive_after(3, _net(*convs, Pool(step=2, size=2)))
    assert _is_first_map_alive_after(2, _net(*convs, Concat()))
    assert not _is_first_map_alive_after(4, _net(*convs, Concat(), Pool(step=2, size=2)))


def test_net_that_does_not_fit_is_refused_by_position() -> None:
    """A window larger than its map is an error before any weight is made."""
    with pytest.raises(ShapeError) as caught:
        _net(Conv(filters=2, kernel=5), Conv(filters=2, kernel=9))

    assert 2 == caught.value.position


def _is_first_map_alive_after(position: int, net: Network) -> bool:
    first: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        first.append(weakref.ref(output))

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        alive.append(first[0]() is not None)

    net.layers["1"].register_forward_hook(keep)
    net.layers[str(position)].register_forward_hook(look)
    with torch.no_grad():
        net(_images(1, 1, 12, 12))
    return alive == [True]


def test_normalised_convolution() -> None:
    """With batch normalisation a convolution has no bias, and while training follows the statistics of the batch."""
    conv = ConvReLU(2, 3, 3, same=True, bn=True)
    x_NCHW = _images(4, 2, 5, 7)

    output = conv(x_NCHW)

    convolved = functional.conv2d(x_NCHW, conv.weight, padding=1)
    mean, variance = convolved.mean(dim=(0, 2, 3)), convolved.var(dim=(0, 2, 3), unbiased=False)
    expected = (convolved - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    assert conv.bias is None
    assert conv.bn is not None
    torch.testing.assert_close(expected.clamp(min=0), output)
    torch.testing.assert_close(0.1 * mean, conv.bn.running_mean)
    torch.testing.assert_close(0.9 + 0.1 * convolved.var(dim=(0, 2, 3)), conv.bn.running_var)


def test_evaluation_uses_the_running_statistics() -> None:
    """A net that is evaluated gives an image the same answer whatever stands beside it, and learns nothing from it."""
    net = _net(Conv(filters=4, kernel=3, bn=True), make_block(BlockType.SE_INCEPTION, (4, 2, 4, 2, 4, 4), bn=True))
    net(_images(8, 1, 12, 12))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = _images(6, 1, 12, 12)

    net.eval()

    torch.testing.assert_close(net(images)[:1], net(images[:1]))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_one_value_per_channel_is_normalised_by_the_running_statistics() -> None:
    """A last batch of one image whose map is a single value has no variance, and trains all the same."""
    norm = BatchNorm(3)
    x_NCHW = _images(1, 3, 1, 1)

    output = norm(x_NCHW)

    torch.testing.assert_close(x_NCHW / (1 + 1e-5) ** 0.5, output)
    assert torch.equal(torch.zeros(3), norm.running_mean)


def test_global_average_head() -> None:
    """GAP() hands the head one average per channel."""
    net = build(Architecture((Conv(filters=4, kernel=3), GlobalAverage(), Linear(outputs=3))), GREY_12)
    x_NCHW = _images(2, 1, 12, 12)

    averages = net.layers["1"](x_NCHW).mean(dim=(2, 3))
    expected = net.layers["3"](averages)

    torch.testing.assert_close(expected, net(x_NCHW))


@pytest.mark.parametrize(("ratio", "hidden"), [(4, 8), (16, 2), (32, 1)])
def test_ratio_of_squeeze_and_excitation(ratio: int, hidden: int) -> None:
    """32 channels are squeezed to 32 over the ratio."""
    block = SEInceptionBlock(3, SEInception(**WIDTHS, ratio=ratio))

    assert (hidden, 32) == block.squeeze.weight.shape
