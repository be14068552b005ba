# SPDX-License-Identifier: Apache-2.0
"""One image file as bytes becomes one small uint8 array, or one reason why it cannot."""

from __future__ import annotations

from nas.data.decoding.faults import ImageFault
from nas.data.decoding.picture import Header, Limits, Picture, decode, is_dark, read_header

__all__ = [
    "Header",
    "ImageFault",
    "Limits",
    "Picture",
    "decode",
    "is_dark",
    "read_header",
]
