# SPDX-License-Identifier: Apache-2.0
"""Why one image file cannot be used; never with its name, which may tell whose it is."""

from __future__ import annotations


class ImageFault(Exception):
    """An image cannot be used; ``reason`` continues a sentence about it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def too_many_pixels(most: int) -> ImageFault:
    """Say that an image is larger than allowed."""
    return ImageFault(f"has more than {most:,} pixels; the server's NAS_MAX_IMAGE_PIXELS can allow more")
