# SPDX-License-Identifier: Apache-2.0
"""One image file as bytes to one uint8 array, or one reason why not; only ever called where a crash hurts nobody.

The header is looked at before anything is unpacked: format, then pixels. What is decoded is turned upright as its EXIF
orientation says, brought to 8 bits, fitted into the wanted square with its aspect kept, and padded with black.

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
"""What Pillow may try; PPM is its word for PGM, too."""
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
"""What undoes each EXIF orientation."""
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may cost.

    Attributes:
        pixels: width times height.
        file_bytes: as it lies there.
    """

    pixels: int = 16 * 2**20
    file_bytes: int = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        pixels_CHW: uint8.
        bits: of a 16-bit grey image, that its largest value takes; 0 where the image itself says what its scale is.
    """

    pixels_CHW: npt.NDArray[np.uint8]
    bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an image says of itself before it is decoded.

    Attributes:
        kind: one of ``FORMATS``, or DICOM, whatever the name of its file says.
        patient: equal for images of one patient; empty if the image does not say whose it is. Right after reading it is
            the id in the file, which ``nas.data.images.survey`` replaces at once.
    """

    width: int
    height: int
    is_grey: bool
    kind: str = ""
    patient: str = field(default="", repr=False)


def is_dark(bits: int, sample_bits: int) -> bool:
    """Whether an image of ``Picture.bits`` uses at most a quarter of the grey scale that ``decode`` was told of."""
    return 0 < bits <= (sample_bits or 16) - 2


def read_header(content: bytes, limits: Limits) -> Header:
    """Look at an image without decoding it.

    Raises:
        ImageFault: it is none, or larger than allowed.
    """
    if is_dicom(content):
        width, height, is_grey, patient = read_dicom_header(content, limits.pixels)
        return Header(width=width, height=height, is_grey=is_grey, kind="DICOM", patient=patient)
    with _opened(content, limits) as image:
        kind = image.format or ""
        return Header(width=image.width, height=image.height, is_grey=_is_grey(image), kind=kind)


def decode(content: bytes, shape: InputShape, limits: Limits, fit: str = "pad", sample_bits: int = 0) -> Picture:
    """Decode an image and fit it into ``shape``.

    Args:
        content: of the file.
        shape: of the result.
        limits: of the image.
        fit: one of ``nas.folders.FITS``.
        sample_bits: that a value of a 16-bit grey image takes; 0 for all of them.

    Raises:
        ImageFault: it cannot be decoded within the limits.
    """
    if is_dicom(content):
        plane = read_dicom(content, limits.pixels).convert("L" if shape.channels == 1 else "RGB")
        return Picture(pixels_CHW=_to_array(plane, shape, fit))
    with _opened(content, limits) as image:
        width, height = fitted_size(image.size, shape)
        # Unpacks a JPEG at 1/2, 1/4 or 1/8 of its size: much faster, and twice the wanted size is left to average over.
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
    """Fit an image of mode L or RGB and return it as (C, H, W)."""
    pixels = np.asarray(fit_into(plane, shape, fit))
    return pixels[np.newaxis] if shape.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(content: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Open an image and turn whatever a decoder raises in the ``with`` block into ``ImageFault``."""
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
    except Exception as error:  # a decoder may raise anything at all on a damaged file
        raise ImageFault("is damaged or cut short") from error


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in _GREY_MODES


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; Pillow has turned a TIFF upright by itself and says 1."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF data is often broken, and an image without it is upright
        return 1


def _scale_of(image: Image.Image) -> int:
    """The value of white where a file with more than 8 bits says so, before it is loaded; 0 if it does not.

    A PGM states its largest value, and Pillow stretches it to 65535; a TIFF may have fewer than 16 bits a sample. The
    significant bits of a PNG (sBIT) and the largest value of a TIFF say nothing: by their standards neither changes how
    the values are shown.
    """
    if isinstance(image, PpmImagePlugin.PpmImageFile) and image.mode == "I" and image.tile[0].codec_name != "raw":
        return 65535
    match _tag(image, _BITS):
        case (int() as bits,) if 8 < bits < 16:
            return (1 << bits) - 1
    return 0


def _to_eight_bits(image: Image.Image, white: int) -> tuple[Image.Image, int]:
    """Bring an image to 8 bits a channel without transparency, and say how many bits its values took if it was 16-bit.

    Args:
        image: loaded.
        white: the value of white of a grey image with more than 8 bits.
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
    """Bring an image of 8 bits a channel to mode L or RGB, on black."""
    if image.mode == "F":
        raise ImageFault("holds floating-point numbers, whose scale is not known")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _tag(image: Image.Image, number: int) -> object:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(number)
