# SPDX-License-Identifier: Apache-2.0
"""The digits: scikit-learn's images to the byte, scaled as ruled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nas.data import CachedDataset, ImageOptions, prepare

FINGERPRINT = "2b5587b7829b8df050a608317811bcb408def0a6b37ff61d758d4bf617e006ae"
"""If this changes, every search on digits has another result: find out why, and raise INGEST_VERSION if it is meant."""


def _digits(tmp_path: Path, input_size: int = 0) -> CachedDataset:
    return prepare("digits", data_root=None, cache_dir=tmp_path, options=ImageOptions(input_size=input_size))


def test_digits_need_no_data_root(tmp_path: Path) -> None:
    """All 1,797 images of ten classes, at 28 x 28, without a test part."""
    digits = _digits(tmp_path)

    assert (1797, 1, 28, 28) == digits.images_NCHW.shape
    assert (28, 28) == (digits.shape.height, digits.shape.width)
    assert tuple("0123456789") == digits.class_names
    assert digits.test_start is None
    assert load_digits().target.tolist() == digits.labels_N.tolist()


def test_digits_are_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """The fingerprint is pinned: loading, rounding and scaling give these bytes and no others."""
    assert FINGERPRINT == _digits(tmp_path).fingerprint


@pytest.mark.parametrize("side", [8, 28, 32])
def test_digits_are_scaled_in_one_bilinear_step(tmp_path: Path, side: int) -> None:
    """Whatever the input size, images go from 8 x 8 to it directly; at 8 x 8 they are the rounded grey levels."""
    levels = np.round(load_digits().images * 255 / 16).astype(np.uint8)

    images_NCHW = _digits(tmp_path, side).images_NCHW

    for index in (0, 1, 900, 1796):
        expected = Image.fromarray(levels[index]).resize((side, side), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(np.asarray(expected), images_NCHW[index, 0])


def test_own_size_is_no_other_data_set(tmp_path: Path) -> None:
    """Asking for 28 pixels, the data set's own size, is asking for nothing."""
    assert _digits(tmp_path).path == _digits(tmp_path, 28).path
