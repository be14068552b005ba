# SPDX-License-Identifier: Apache-2.0
"""The module of every kind of layer: convolution with ReLU, the blocks, the join of two maps; and the table of them.

Legend: N = images, C = channels, H = height, W = width. Sources: Szegedy et al. 2015, Fig. 2(b) for the block and its
order of widths; Hu et al. 2018, Fig. 2 for squeeze and excitation; paper section III.A for both as used here; Wang et
al. 2020, Fig. 2 for efficient channel attention; Zhang et al. 2019, Fig. 2 for self-attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.blocks import AttentionInception, ECAInception, Inception, InceptionLayer, SEInception, seen_window
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Layer, Linear, Pool


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) of each channel: (N, C, H, W) to the same shape.

    Unlike torch's module it keeps no counter of batches, and a single value per channel, of which no variance can be
    taken, is normalised by the running statistics.

    Args:
        channels: C.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Normalise by the batch while training, which the running statistics then follow; else by those."""
        uses_batch = self.training and x_NCHW.numel() > x_NCHW.shape[1]
        return functional.batch_norm(
            x_NCHW, self.running_mean, self.running_var, self.weight, self.bias, training=uses_batch
        )


class ConvReLU(nn.Conv2d):
    """A convolution with stride 1, then ReLU: (N, C, H, W) to (N, filters, H', W').

    Args:
        in_channels: C.
        filters: channels of the output.
        kernel: side of the window.
        same: pad so that H' = H and W' = W; else valid, H' = H - kernel + 1.
        bn: normalise before the ReLU; else there is a bias.
    """

    def __init__(self, in_channels: int, filters: int, kernel: int, *, same: bool = False, bn: bool = False) -> None:
        super().__init__(in_channels, filters, kernel, padding=kernel // 2 if same else 0, bias=not bn)
        self.bn = BatchNorm(filters) if bn else None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Convolve, normalise and rectify; in place, because no backward pass looks at what the ReLU reads."""
        convolved_NCHW = super().forward(x_NCHW)
        return functional.relu(convolved_NCHW if self.bn is None else self.bn(convolved_NCHW), inplace=True)


class InceptionBlock(nn.Module):
    """The Inception block with dimension reduction: (N, C, H, W) to (N, out_channels, H, W).

    Its third branch is a true 5x5; torchvision's GoogLeNet has a 3x3 there by a documented mistake.
    """

    def __init__(self, in_channels: int, block: InceptionLayer) -> None:
        super().__init__()
        convolution = partial(ConvReLU, same=True, bn=block.bn)
        self.ch1x1 = convolution(in_channels, block.ch1x1, 1)
        self.ch3x3red = convolution(in_channels, block.ch3x3red, 1)
        self.ch3x3 = convolution(block.ch3x3red, block.ch3x3, 3)
        self.ch5x5red = convolution(in_channels, block.ch5x5red, 1)
        self.ch5x5 = convolution(block.ch5x5red, block.ch5x5, 5)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pool_proj = convolution(in_channels, block.pool_proj, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Run the four branches and join them in the order of the notation."""
        branches = (
            self.ch1x1(x_NCHW),  # N, ch1x1, H, W
            self.ch3x3(self.ch3x3red(x_NCHW)),  # N, ch3x3, H, W
            self.ch5x5(self.ch5x5red(x_NCHW)),  # N, ch5x5, H, W
            self.pool_proj(self.pool(x_NCHW)),  # N, pool_proj, H, W
        )
        return torch.cat(branches, dim=1)  # N, out_channels, H, W


class SEInceptionBlock(InceptionBlock):
    """The Inception block whose output channels are rescaled by squeeze and excitation: same shapes as its parent."""

    def __init__(self, in_channels: int, block: SEInception) -> None:
        super().__init__(in_channels, block)
        self.squeeze = nn.Linear(block.out_channels, block.squeezed_channels)
        self.excite = nn.Linear(block.squeezed_channels, block.out_channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Run the block, then weigh each channel by what its global average calls for."""
        joined_NCHW = super().forward(x_NCHW)  # N, out_channels, H, W
        average_NC = joined_NCHW.mean(dim=(2, 3))  # N, out_channels
        squeezed_NS = functional.relu(self.squeeze(average_NC))  # N, squeezed_channels
        scale_NC = torch.sigmoid(self.excite(squeezed_NS))  # N, out_channels
        return joined_NCHW * scale_NC[:, :, None, None]  # N, out_channels, H, W


class ECAInceptionBlock(InceptionBlock):
    """The Inception block whose output channels are rescaled by efficient channel attention: shapes of its parent."""

    def __init__(self, in_channels: int, block: ECAInception) -> None:
        super().__init__(in_channels, block)
        kernel = block.channel_kernel
        self.attend = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Run the block, then weigh each channel by the averages of itself and its neighbours."""
        joined_NCHW = super().forward(x_NCHW)  # N, out_channels, H, W
        average_NC = joined_NCHW.mean(dim=(2, 3))  # N, out_channels
        scale_NC = torch.sigmoid(self.attend(average_NC[:, None, :])[:, 0])  # N, out_channels
        return joined_NCHW * scale_NC[:, :, None, None]  # N, out_channels, H, W


class AttentionInceptionBlock(InceptionBlock):
    """The Inception block, to whose output self-attention between its positions is added: same shapes as its parent.

    Legend: D = channels of the head, P = H x W positions, S = positions of the pooled map that are seen.
    """

    def __init__(self, in_channels: int, block: AttentionInception) -> None:
        super().__init__(in_channels, block)
        self.query = nn.Conv2d(block.out_channels, block.head_channels, 1)
        self.key = nn.Conv2d(block.out_channels, block.head_channels, 1)
        self.value = nn.Conv2d(block.out_channels, block.head_channels, 1)
        self.output = nn.Conv2d(block.head_channels, block.out_channels, 1)
        # No axis: a number times a map in half precision stays in half precision.
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Run the block, then add to each position a mixture of what it asks for, times the scale."""
        joined_NCHW = super().forward(x_NCHW)  # N, out_channels, H, W
        sides = joined_NCHW.shape[2:]
        # Not adaptive pooling, whose backward pass on CUDA adds up in any order.
        seen_NCHW = functional.avg_pool2d(joined_NCHW, seen_window(*sides), ceil_mode=True)
        query_NPD = self.query(joined_NCHW).flatten(2).transpose(1, 2)
        key_NDS, value_NDS = self.key(seen_NCHW).flatten(2), self.value(seen_NCHW).flatten(2)
        # Plain products, not torch's fused attention: that is another one on every device, and not counted on the CPU.
        scores_NPS = torch.bmm(query_NPD / math.sqrt(query_NPD.shape[2]), key_NDS)
        mixture_NDP = torch.bmm(value_NDS, scores_NPS.softmax(dim=2).transpose(1, 2))
        added_NCHW: Tensor = self.scale * self.output(mixture_NDP.reshape(*mixture_NDP.shape[:2], *sides))
        return joined_NCHW + added_NCHW  # N, out_channels, H, W


class Averaging(nn.Module):
    """``GAP()``: (N, C, H, W) to the average of each channel, (N, C)."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Average over height and width."""
        return x_NCHW.mean(dim=(2, 3))


class Concatenation(nn.Module):
    """``Concat()``: the nearer map's channels first; where sizes differ, each side is cut to the smaller one."""

    def forward(self, near_NCHW: Tensor, far_NCHW: Tensor) -> Tensor:
        """Join (N, C1, H1, W1) and (N, C2, H2, W2) to (N, C1 + C2, min(H1, H2), min(W1, W2))."""
        height = min(near_NCHW.shape[2], far_NCHW.shape[2])
        width = min(near_NCHW.shape[3], far_NCHW.shape[3])
        return torch.cat([crop_centre(near_NCHW, height, width), crop_centre(far_NCHW, height, width)], dim=1)


def crop_centre(x_NCHW: Tensor, height: int, width: int) -> Tensor:
    """Cut (N, C, H, W) to (N, C, height, width), leaving out floor(d/2) rows and columns at the top and left."""
    top = (x_NCHW.shape[2] - height) // 2
    left = (x_NCHW.shape[3] - width) // 2
    return x_NCHW[:, :, top : top + height, left : left + width]


MODULES: Mapping[type[Layer], Callable[[Any, int], nn.Module]] = {
    Conv: lambda layer, inputs: ConvReLU(inputs, layer.filters, layer.kernel, same=layer.same, bn=layer.bn),
    Pool: lambda layer, _: nn.Identity() if layer.is_identity else nn.MaxPool2d(layer.size, stride=layer.step),
    Inception: lambda layer, inputs: InceptionBlock(inputs, layer),
    SEInception: lambda layer, inputs: SEInceptionBlock(inputs, layer),
    ECAInception: lambda layer, inputs: ECAInceptionBlock(inputs, layer),
    AttentionInception: lambda layer, inputs: AttentionInceptionBlock(inputs, layer),
    Concat: lambda _, __: Concatenation(),
    Flatten: lambda _, __: nn.Flatten(),
    GlobalAverage: lambda _, __: Averaging(),
    Linear: lambda layer, inputs: nn.Linear(inputs, layer.outputs),
}
"""Makes the module of a layer of exactly this kind. The number is that of its first source: channels, or features."""
