# SPDX-License-Identifier: Apache-2.0
"""DICOM files: windowed, the right way round, one frame, and nothing of a patient kept of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import encode_dicom
from image_files import decode_pixels

from nas.config import InputShape
from nas.data import ImageOptions, prepare
from nas.data.decoding.faults import ImageFault
from nas.data.decoding.picture import Header, Limits, read_header

GREY_4 = InputShape(channels=1, height=4, width=4)
LIMITS = Limits()


LEVELS = np.array([[0, 1000, 2000, 4000]] * 4, np.uint16)


@pytest.mark.parametrize("packs", [False, True])
def test_values_span_the_range_without_a_window(packs: bool) -> None:
    """Twelve bits are not almost black; uncompressed and RLE are the same."""
    content = encode_dicom(LEVELS, packs=packs)

    assert [0, 64, 128, 255] == decode_pixels(content, GREY_4, LIMITS)[0, 0].tolist()
    assert Header(width=4, height=4, is_grey=True, kind="DICOM", patient="CANARY-1") == read_header(content, LIMITS)


def test_the_first_window_counts() -> None:
    """What is below is black, what is above is white, the middle is in the middle."""
    one = decode_pixels(encode_dicom(LEVELS, WindowCenter=1000, WindowWidth=1001), GREY_4, LIMITS)
    several = decode_pixels(encode_dicom(LEVELS, WindowCenter=[1000, 9], WindowWidth=[1001, 2]), GREY_4, LIMITS)

    assert [0, 128, 255, 255] == one[0, 0].tolist()
    assert np.array_equal(one, several)


def test_monochrome1_is_turned_round() -> None:
    """Black is black on every image."""
    inverted = decode_pixels(encode_dicom(LEVELS, PhotometricInterpretation="MONOCHROME1"), GREY_4, LIMITS)

    assert [255, 191, 128, 0] == inverted[0, 0].tolist()


def test_rescale_and_signed_values() -> None:
    """Values are what the scanner meant before the window is applied."""
    signed = np.array([[-1000, 0, 500, 1000]] * 4, np.int16)

    scaled = encode_dicom(signed, RescaleSlope=2, RescaleIntercept=100, WindowCenter=100, WindowWidth=4001)

    assert [0, 128, 191, 255] == decode_pixels(scaled, GREY_4, LIMITS)[0, 0].tolist()


def test_colour() -> None:
    """8-bit RGB is read; a set with it has three channels."""
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 200
    content = encode_dicom(colours)

    assert not read_header(content, LIMITS).is_grey
    assert [200, 0, 0] == decode_pixels(content, InputShape(channels=3, height=4, width=4), LIMITS)[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encode_dicom(np.zeros((3, 4, 4), np.uint16), NumberOfFrames=3), "is a DICOM file of several frames"),
        (encode_dicom(LEVELS)[:-9], "is a DICOM file that is damaged"),
        (encode_dicom(LEVELS, Rows=0), "is a DICOM file"),
        (encode_dicom(LEVELS, Rows=20000, Columns=20000), "has more than 16,777,216 pixels"),
        (encode_dicom(LEVELS)[:140], "is a DICOM file that is damaged"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 500, "is a DICOM file that is damaged"),
    ],
)
def test_what_cannot_be_decoded_says_why(content: bytes, reason: str) -> None:
    """Each with a reason, and none with a name."""
    with pytest.raises(ImageFault) as caught:
        decode_pixels(content, GREY_4, LIMITS)

    assert caught.value.reason.startswith(reason)
    assert "anary" not in caught.value.reason


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says what to install."""
    monkeypatch.setitem(sys.modules, "pydicom", None)

    with pytest.raises(ImageFault, match=r"needs pip install 'seib-nas\[dicom\]' on the server"):
        decode_pixels(encode_dicom(LEVELS), GREY_4, LIMITS)


def test_a_folder_of_dicom_files(tmp_path: Path) -> None:
    """By their ending dcm, beside other formats; the cache holds nothing of the patient."""
    for number in range(8):
        path = tmp_path / "root" / "scans" / "ab"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_dicom(LEVELS + np.uint16(number)))

    found = prepare("folder:scans", data_root=tmp_path / "root", cache_dir=tmp_path / "cache", options=ImageOptions())

    assert (8, 1, 4, 4) == found.images_NCHW.shape
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and b"anary" in path.read_bytes()]
