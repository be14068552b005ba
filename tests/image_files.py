# SPDX-License-Identifier: Apache-2.0
"""Small image files and folders of them, each image unlike every other."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.config import InputShape
from nas.data.decoding.picture import Limits, decode


def encode(pixels: npt.ArrayLike, kind: str = "PNG", **options: Any) -> bytes:
    """One image file of pixels as (H, W) or (H, W, C)."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(stream, kind, **options)
    return stream.getvalue()


def encode_tiff(values_HW: npt.NDArray[np.uint16], bits: int) -> bytes:
    """An uncompressed grey TIFF with so many bits per sample, packed, which Pillow reads and does not write."""
    height, width = values_HW.shape
    rows = ["".join(f"{int(value):0{bits}b}" for value in row) for row in values_HW]
    packed = b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    strip = packed + b"\0" * (len(packed) % 2)
    values = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(packed)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(values)) + tags + bytes(4)


def decode_pixels(content: bytes, shape: InputShape, limits: Limits, fit: str = "pad") -> npt.NDArray[np.uint8]:
    """The pixels of an image as (C, H, W)."""
    return decode(content, shape, limits, fit).pixels_CHW


def draw(number: int, size: tuple[int, int] = (8, 8), *, channels: int = 1) -> npt.NDArray[np.uint8]:
    """Pixels of ``size`` (width, height) that no other number gives, as (H, W) or (H, W, C)."""
    width, height = size
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def write_image(path: Path, number: int, size: tuple[int, int] = (8, 8), *, channels: int = 1) -> None:
    """Write a PNG, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(draw(number, size, channels=channels)))


def write_folder(folder: Path, counts: Mapping[str, int], *, size: tuple[int, int] = (8, 8), first: int = 0) -> None:
    """Write so many images into each folder below ``folder``: ``0.png``, ``1.png`` and so on.

    Args:
        folder: made if it is missing.
        counts: by path below ``folder``.
        size: width and height in pixels.
        first: number of the first image; folders with other numbers have other images.
    """
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write_image(folder / name / f"{index}.png", first, size)
            first += 1


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of any chunks, with right checksums."""
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    """The first chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
