# SPDX-License-Identifier: Apache-2.0
"""Reads DICOM files of one frame. The window of the file is applied, and MONOCHROME1 is inverted, so black is 0.

Of a file only three things are read: the pixels, the attributes that say how to show them, and the patient's id. The
id tells which images belong to one patient; ``nas.data.images.survey`` replaces it by a keyed hash.
Uncompressed, RLE and JPEG files can be read; other codecs need a plugin of pydicom.

Shapes: H height, W width.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.data.decoding.faults import ImageFault, too_many_pixels

_MAGIC_AT, _MAGIC = 128, b"DICM"
_NEEDED = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"),
    *("PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "PixelData", "RescaleSlope"),
    *("RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", "TransferSyntaxUID"),
)
"""The attributes that are read to show an image."""
_PATIENT = "PatientID"


def is_dicom(content: bytes) -> bool:
    """Whether a file has the preamble and prefix of DICOM part 10."""
    return content[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def read_dicom_header(content: bytes, most_pixels: int) -> tuple[int, int, bool, str]:
    """Read the header of a file.

    Returns:
        Width, height, whether the image is grey, and the patient's id, which is empty if the file has none.

    Raises:
        ImageFault: the file is no image of one frame, or has more than ``most_pixels``.
    """
    with _opened(content, has_pixels=False) as file:
        return *_check(file, most_pixels), str(file.get(_PATIENT) or "").strip(" \0")


def read_dicom(content: bytes, most_pixels: int) -> Image.Image:
    """Decode a file to an image of mode L or RGB.

    Raises:
        ImageFault: the file cannot be decoded, or has more than ``most_pixels``.
    """
    with _opened(content, has_pixels=True) as file:
        *_, is_grey = _check(file, most_pixels)
        values = file.pixel_array
        if not is_grey:
            if file.PhotometricInterpretation != "RGB" or values.dtype != np.uint8:
                raise ImageFault("is a colour DICOM image that is not 8-bit RGB")
            return Image.fromarray(values)
        return Image.fromarray(_to_eight_bits(file, values.astype(np.float64)))


def _check(file: Any, most_pixels: int) -> tuple[int, int, bool]:
    width, height = int(file.Columns), int(file.Rows)
    if width * height > most_pixels:
        raise too_many_pixels(most_pixels)
    if int(file.get("NumberOfFrames", None) or 1) != 1:
        raise ImageFault("is a DICOM file of several frames, and one image a file is needed")
    if width < 1 or height < 1:
        raise ImageFault("is a DICOM file without pixels")
    return width, height, int(file.get("SamplesPerPixel", 1)) == 1


def _to_eight_bits(file: Any, values_HW: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Apply rescale slope, intercept and window, invert MONOCHROME1, and scale to 0 to 255.

    Without a window the smallest value becomes black and the largest white.
    """
    values_HW = values_HW * float(file.get("RescaleSlope", 1) or 1) + float(file.get("RescaleIntercept", 0) or 0)
    centre, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    if centre is None or width is None or width <= 1:
        low, high = float(values_HW.min()), float(values_HW.max())
    else:  # the linear function of PS3.3 C.11.2.1.2
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    if not np.isfinite([low, high]).all():
        raise ImageFault("is a DICOM file whose window is no number")
    share_HW = np.clip((values_HW - low) / max(high - low, 1e-9), 0, 1)
    if file.PhotometricInterpretation == "MONOCHROME1":
        share_HW = 1 - share_HW
    return np.rint(share_HW * 255).astype(np.uint8)


def _first(value: Any) -> float | None:
    """The first of several values, for the first window is the one to show by default; None if there is none."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])


@contextmanager
def _opened(content: bytes, *, has_pixels: bool) -> Iterator[Any]:
    """Parse a file; every exception of pydicom in the ``with`` block becomes ``ImageFault``."""
    try:
        import pydicom  # half a second, and only DICOM needs it
    except ImportError as error:
        raise ImageFault("is DICOM, which needs pip install 'seib-nas[dicom]' on the server") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of odd metadata, which is not used
            tags = [*_NEEDED] if has_pixels else [*_NEEDED, _PATIENT]
            yield pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not has_pixels, specific_tags=tags)
    except ImageFault:
        raise
    except MemoryError as error:
        raise ImageFault("takes more memory to decode than is allowed") from error
    except TimeoutError as error:
        raise ImageFault("takes more processor time to decode than is allowed") from error
    except Exception as error:  # on a damaged file pydicom may raise any exception
        raise ImageFault("is a DICOM file that is damaged, or in a form that cannot be decoded here") from error
