# SPDX-License-Identifier: Apache-2.0
"""Architectures as torch modules."""

from __future__ import annotations

from nas.models.blocks import (
    AttentionInceptionBlock,
    BatchNorm,
    Concatenation,
    ConvReLU,
    ECAInceptionBlock,
    InceptionBlock,
    SEInceptionBlock,
)
from nas.models.build import Network, build

__all__ = [
    "AttentionInceptionBlock",
    "BatchNorm",
    "Concatenation",
    "ConvReLU",
    "ECAInceptionBlock",
    "InceptionBlock",
    "Network",
    "SEInceptionBlock",
    "build",
]
