# SPDX-License-Identifier: Apache-2.0
"""Why an image file cannot be used. The name of the file is left out, because it may name a patient."""

from __future__ import annotations


class ImageFault(Exception):
    """An image cannot be used.

    Attributes:
        reason: what is wrong, as the end of a sentence that begins with the image.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def too_many_pixels(most: int) -> ImageFault:
    """Return the fault of an image with more than ``most`` pixels."""
    return ImageFault(f"has more than {most:,} pixels; the server's NAS_MAX_IMAGE_PIXELS can allow more")
