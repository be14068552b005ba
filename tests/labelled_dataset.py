# SPDX-License-Identifier: Apache-2.0
"""Data sets with given labels and blank images; a division looks at nothing but labels and groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from nas.config import InputShape
from nas.data import CachedDataset


def labelled_dataset(
    labels_N: npt.ArrayLike, *, classes: int = 10, test_start: int | None = None, fingerprint: str = "0" * 64
) -> CachedDataset:
    """A data set with these labels whose images take no memory."""
    labels = np.asarray(labels_N, np.int64)
    return CachedDataset(
        name="labelled",
        images_NCHW=np.broadcast_to(np.uint8(0), (len(labels), 1, 28, 28)),
        labels_N=labels,
        class_names=tuple(f"class {label}" for label in range(classes)),
        shape=InputShape(channels=1, height=28, width=28),
        test_start=test_start,
        fingerprint=fingerprint,
        path=Path("nowhere"),
    )


@st.composite
def patients(draw: st.DrawFn) -> CachedDataset:
    """Up to 200 patients with one to nine images each, mostly of one class, in any order."""
    classes = draw(st.integers(1, 4))
    count = draw(st.integers(1, 200))
    random = np.random.RandomState(draw(st.integers(0, 999)))
    sizes = random.randint(1, draw(st.integers(2, 10)), count)
    groups_N = np.repeat(random.permutation(10 * count)[:count], sizes)
    labels_N = np.repeat(random.randint(0, classes, count), sizes)
    mixed = random.rand(len(labels_N)) < draw(st.sampled_from([0.0, 0.0, 0.05, 0.5]))
    labels_N[mixed] = random.randint(0, classes, int(mixed.sum()))
    order = random.permutation(len(labels_N))
    dataset = labelled_dataset(labels_N[order], classes=classes)
    percent = draw(st.sampled_from([5, 10]))
    return replace(dataset, groups_N=groups_N[order].astype(np.int64), validation_percent=percent)
