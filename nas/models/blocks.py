# SPDX-License-Identifier: Apache-2.0
"""The module of every kind of layer: convolution with ReLU, the blocks, the join of two maps; and the table of them.

Legend: N = images, C = channels, H = height, W = width. Sources: Szegedy et al. 2015, Fig. 2(b) for the block and its
order of widths; Hu et al. 2018, Fig. 2 for squeeze and excitation; paper section III.A for both as used here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.blocks import Inception, InceptionLayer, SEInception
from nas.layers import Concat, Conv, Flatten, Layer, Linear, Pool


class ConvReLU(nn.Conv2d):
    """A convolution with bias and stride 1, then ReLU: (N, C, H, W) to (N, filters, H', W').

    Args:
        in_channels: C.
        filters: channels of the output.
        kernel: side of the window.
        same: pad so that H' = H and W' = W; else valid, H' = H - kernel + 1.
    """

    def __init__(self, in_channels: int, filters: int, kernel: int, *, same: bool = False) -> None:
        super().__init__(in_channels, filters, kernel, padding=kernel // 2 if same else 0)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Convolve and rectify; in place, because a convolution's backward pass never looks at its own output."""
        return functional.relu(super().forward(x_NCHW), inplace=True)


class InceptionBlock(nn.Module):
    """The Inception block with dimension reduction: (N, C, H, W) to (N, out_channels, H, W).

    Its third branch is a true 5x5; torchvision's GoogLeNet has a 3x3 there by a documented mistake.
    """

    def __init__(self, in_channels: int, block: InceptionLayer) -> None:
        super().__init__()
        self.ch1x1 = ConvReLU(in_channels, block.ch1x1, 1, same=True)
        self.ch3x3red = ConvReLU(in_channels, block.ch3x3red, 1, same=True)
        self.ch3x3 = ConvReLU(block.ch3x3red, block.ch3x3, 3, same=True)
        self.ch5x5red = ConvReLU(in_channels, block.ch5x5red, 1, same=True)
        self.ch5x5 = ConvReLU(block.ch5x5red, block.ch5x5, 5, same=True)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pool_proj = ConvReLU(in_channels, block.pool_proj, 1, same=True)

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
    Conv: lambda layer, inputs: ConvReLU(inputs, layer.filters, layer.kernel),
    Pool: lambda layer, _: nn.Identity() if layer.is_identity else nn.MaxPool2d(layer.size, stride=layer.step),
    Inception: lambda layer, inputs: InceptionBlock(inputs, layer),
    SEInception: lambda layer, inputs: SEInceptionBlock(inputs, layer),
    Concat: lambda _, __: Concatenation(),
    Flatten: lambda _, __: nn.Flatten(),
    Linear: lambda layer, inputs: nn.Linear(inputs, layer.outputs),
}
"""Makes the module of a layer of exactly this kind. The number is that of its first source: channels, or features."""
