# SPDX-License-Identifier: Apache-2.0
"""Phantoms are what they are taken for: one function of the seed, one anatomy a patient, lesions by the label."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import PUBLIC_IMAGES, VIEWS, count_images, draw_phantom, scale_patients


def test_the_same_arguments_give_the_same_image() -> None:
    """A phantom follows from its arguments, and another seed, patient, view or side gives another one."""
    base = draw_phantom(4, 7, "CC", "L", seed=1)
    others = [
        draw_phantom(4, 7, "CC", "L", seed=2),
        draw_phantom(4, 8, "CC", "L", seed=1),
        draw_phantom(4, 7, "MLO", "L", seed=1),
        draw_phantom(4, 7, "CC", "R", seed=1),
    ]

    assert np.array_equal(base, draw_phantom(4, 7, "CC", "L", seed=1))
    assert not any(np.array_equal(base, other) for other in others)
    assert (250, 200) == base.shape
    assert np.dtype(np.uint8) == base.dtype


@pytest.mark.parametrize("patient", [1, 2, 3])
def test_two_sides_of_a_patient_have_one_outline(patient: int) -> None:
    """The anatomy belongs to the patient: the right breast is the left one mirrored, but for tissue and noise."""
    left, right = (draw_phantom(1, patient, "CC", side) > 0 for side in ("L", "R"))

    assert np.array_equal(left, right[:, ::-1])


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_lesions_grow_with_the_category(view: str) -> None:
    """Where all else is equal, a category adds light: none in 1, then more from 3 to 5."""
    normal = draw_phantom(1, 9, view, "L").astype(int)
    added = [np.clip(draw_phantom(label, 9, view, "L").astype(int) - normal, 0, None) > 40 for label in (3, 4, 5)]

    areas = [int(mask.sum()) for mask in added]
    assert 0 < areas[0] < areas[1] < areas[2]


def test_scaled_patients_keep_the_imbalance() -> None:
    """At full size the images are those of the public copy to the patient; small sets keep enough for every part."""
    assert all(abs(len(VIEWS) * count - PUBLIC_IMAGES[category]) <= 2 for category, count in scale_patients(1).items())
    assert {1: 46, 3: 7, 4: 3, 5: 3} == scale_patients(10)
    assert 4 * 59 == count_images(scale_patients(10))
