# SPDX-License-Identifier: Apache-2.0
"""Decodes the bytes of an image file to a uint8 array of the wanted shape.

A damaged file may crash the decoder, so a server calls this in a process of its own. The header is checked before
anything is unpacked: first the format, then the number of pixels. A decoded image is turned upright as its EXIF
orientation says, converted to 8 bits, scaled into the wanted shape with its aspect kept, and padded with black.

Shapes: C channels, H height, W width.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, PpmImagePlugin, UnidentifiedImageError

from nas.config import InputShape
from nas.data.decoding.dicom import is_dicom, read_dicom, read_dicom_header
from nas.data.decoding.faults import ImageFault, too_many_pixels
from nas.data.decoding.fitting import fit_into, fitted_size

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "PPM")
"""The formats that Pillow may try. Pillow calls PGM files PPM."""
_ORIENTATION = 274  # EXIF tag 0x0112
_PHOTOMETRIC = 262  # TIFF tag; 0 is "white is zero"
_BITS = 258  # TIFF tag BitsPerSample
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its EXIF orientation."""
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest image file that is read.

    Attributes:
        pixels: most pixels of an image, width times height.
        file_bytes: most bytes of a file.
    """

    pixels: int = 16 * 2**20
    file_bytes: int = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        pixels_CHW: uint8.
        bits: for a 16-bit grey image, the number of bits of its largest value; 0 for all other images, and for files
            that state the value of white.
    """

    pixels_CHW: npt.NDArray[np.uint8]
    bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of an image file says.

    Attributes:
        width, height: in pixels.
        is_grey: whether the image has no colours.
        kind: the format by the content of the file: one of ``FORMATS``, or DICOM.
        patient: equal for images of one patient; empty if the header names none. ``read_header`` returns the id of the
            file, and ``nas.data.images.survey`` replaces it by a keyed hash at once.
    """

    width: int
    height: int
    is_grey: bool
    kind: str = ""
    patient: str = field(default="", repr=False)


def is_dark(bits: int, sample_bits: int) -> bool:
    """Whether a 16-bit image uses at most a quarter of its grey scale.

    Args:
        bits: ``Picture.bits``.
        sample_bits: bits of the scale, as given to ``decode``; 0 for 16.
    """
    return 0 < bits <= (sample_bits or 16) - 2


def read_header(content: bytes, limits: Limits) -> Header:
    """Read the header of an image without decoding its pixels.

    Raises:
        ImageFault: the file is no image, or is larger than allowed.
    """
    if is_dicom(content):
        width, height, is_grey, patient = read_dicom_header(content, limits.pixels)
        return Header(width=width, height=height, is_grey=is_grey, kind="DICOM", patient=patient)
    with _opened(content, limits) as image:
        kind = image.format or ""
        return Header(width=image.width, height=image.height, is_grey=_is_grey(image), kind=kind)


def decode(content: bytes, shape: InputShape, limits: Limits, fit: str = "pad", sample_bits: int = 0) -> Picture:
    """Decode an image and scale it into ``shape``.

    Args:
        content: the bytes of the file.
        shape: shape of the result.
        limits: largest image that is decoded.
        fit: one of ``nas.folders.FITS``.
        sample_bits: bits of the largest value that a 16-bit grey image may have; 0 for 16.

    Raises:
        ImageFault: the image cannot be decoded within the limits.
    """
    if is_dicom(content):
        plane = read_dicom(content, limits.pixels).convert("L" if shape.channels == 1 else "RGB")
        return Picture(pixels_CHW=_to_array(plane, shape, fit))
    with _opened(content, limits) as image:
        width, height = fitted_size(image.size, shape)
        # A JPEG is unpacked at 1/2, 1/4 or 1/8 of its size, which is fast; twice the wanted size is enough to average.
        spare = 2 if fit == "pad" else 4
        image.draft("L" if shape.channels == 1 else "RGB", (spare * width, spare * height))
        scale = _scale_of(image)
        image.load()
        upright = _UPRIGHT.get(_orientation(image))
        plane, bits = _to_eight_bits(image, scale or 2 ** (sample_bits or 16) - 1)
        plane = plane.convert("L" if shape.channels == 1 else "RGB")
        if upright is not None:
            plane = plane.transpose(upright)
        return Picture(pixels_CHW=_to_array(plane, shape, fit), bits=0 if scale else bits)


def _to_array(plane: Image.Image, shape: InputShape, fit: str) -> npt.NDArray[np.uint8]:
    """Scale an image of mode L or RGB into ``shape`` and return it as (C, H, W)."""
    pixels = np.asarray(fit_into(plane, shape, fit))
    return pixels[np.newaxis] if shape.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(content: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Open an image; every exception of a decoder in the ``with`` block becomes ``ImageFault``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.MAX_IMAGE_PIXELS = limits.pixels
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > limits.pixels:
                    raise too_many_pixels(limits.pixels)
                yield image
    except ImageFault:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise too_many_pixels(limits.pixels) from error
    except UnidentifiedImageError as error:
        raise ImageFault("is no PNG, JPEG, BMP, TIFF, PGM or DICOM image, or its header is damaged") from error
    except MemoryError as error:
        raise ImageFault("takes more memory to decode than is allowed") from error
    except TimeoutError as error:
        raise ImageFault("takes more processor time to decode than is allowed") from error
    except Exception as error:  # on a damaged file a decoder may raise any exception
        raise ImageFault("is damaged or cut short") from error


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in _GREY_MODES


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image; 1 for a TIFF, which Pillow turns upright itself."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF data is often broken, and an image without it is upright
        return 1


def _scale_of(image: Image.Image) -> int:
    """The value of white that a file with more than 8 bits per sample states; 0 if it states none.

    Call it before the image is loaded. A PGM states its largest value, which Pillow scales to 65535. A TIFF may have
    fewer than 16 bits per sample. The significant bits of a PNG (sBIT) and the largest value of a TIFF are ignored: by
    their standards neither changes how values are shown.
    """
    if isinstance(image, PpmImagePlugin.PpmImageFile) and image.mode == "I" and image.tile[0].codec_name != "raw":
        return 65535
    match _tag(image, _BITS):
        case (int() as bits,) if 8 < bits < 16:
            return (1 << bits) - 1
    return 0


def _to_eight_bits(image: Image.Image, white: int) -> tuple[Image.Image, int]:
    """Convert an image to 8 bits per channel without transparency.

    Args:
        image: the loaded image.
        white: the value of white, for a grey image with more than 8 bits.

    Returns:
        The image, and the number of bits of its largest value if it had 16 bits, else 0.

    Raises:
        ImageFault: values of the image lie outside the scale.
    """
    if image.mode.startswith("I"):
        values_HW = np.asarray(image).astype(np.int32)
        if values_HW.min() < 0 or values_HW.max() > 65535:
            raise ImageFault("holds numbers beyond 16 bits, whose scale is not known")
        bits = int(values_HW.max()).bit_length()
        if values_HW.max() > white:
            raise ImageFault(f"holds values of {bits} bits, more than the {white.bit_length()} of --sample-bits")
        if image.mode != "I" and image.format == "TIFF" and _tag(image, _PHOTOMETRIC) == 0:
            values_HW = white - values_HW  # Pillow does this for 8 bits only
        return Image.fromarray(((values_HW * 255 + white // 2) // white).astype(np.uint8)), bits
    return _without_transparency(image), 0


def _without_transparency(image: Image.Image) -> Image.Image:
    """Convert an image with 8 bits per channel to mode L or RGB; transparent parts become black."""
    if image.mode == "F":
        raise ImageFault("holds floating-point numbers, whose scale is not known")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _tag(image: Image.Image, number: int) -> object:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(number)
