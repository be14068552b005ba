# SPDX-License-Identifier: Apache-2.0
"""Decodes the bytes of one image file to one small uint8 array, or says why that is not possible."""

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
