# SPDX-License-Identifier: Apache-2.0
"""DICOM files made by pydicom, each with a patient."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from image_files import draw
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)


def encode_dicom(pixels: npt.NDArray[Any], *, packs: bool = False, **tags: Any) -> bytes:
    """One file of pixels as (H, W), (H, W, 3) or (frames, H, W) with the tags of a mammogram; None takes a tag away."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.PatientName, file.PatientID = "Canary^Jane", "CANARY-1"
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    file.Rows, file.Columns = pixels.shape[:2] if is_colour else pixels.shape[-2:]
    file.SamplesPerPixel = 3 if is_colour else 1
    file.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, int(pixels.dtype.kind == "i")
    file.PixelData = pixels.tobytes()
    file["PixelData"].VR = "OW"
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    if packs:
        file.compress(RLELossless)
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write_dicom(path: Path, number: int, **tags: Any) -> None:
    """Write a file whose picture no other number gives, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_dicom(draw(number, (16, 16)).astype(np.uint16) * 16, **tags))


def write_scans(folder: Path, patients: int, prefix: str = "CANARY-ID") -> None:
    """Two classes of patients with two files each, whose names say nothing of them."""
    for number in range(2 * patients):
        patient = number % patients
        name = f"{('benign', 'malignant')[patient % 2]}/{number:03}.dcm"
        write_dicom(folder / name, number, PatientID=f"{prefix}-{patient}")
