# SPDX-License-Identifier: Apache-2.0
"""The data sets that a search can name: what exists and what shape it has, without loading any of it."""

from __future__ import annotations

from dataclasses import dataclass

from nas.config import InputShape


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """One data set of the catalogue."""

    name: str
    summary: str
    shape: InputShape | None
    """None if the images decide."""
    classes: int
    """0 if the folders decide."""
    has_test_part: bool
    """Whether the publisher fixed a test part; else the set is divided 80/10/10."""
    files: tuple[tuple[str, ...], ...] = ()
    """What must lie under ``<data root>/<name>``: one tuple of accepted names a file; empty if the package ships it."""
    is_folder: bool = False
    """Whether it is a folder of image files, which ``NAME:PATH`` can name."""
    needs_path: bool = False
    """Whether it has no folder of its own under the data root."""
    class_maps: tuple[str, ...] = ()
    """What ``class_map`` can be; the first is the default."""
    validation_percent: int = 10
    """Share of the whole that goes to validation where nothing has parts; a tenth goes to test."""


_MNIST_FILES = tuple(
    (f"{name}-ubyte", f"{name}-ubyte.gz")
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
_GREY_28 = InputShape(channels=1, height=28, width=28)

CATALOGUE: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="digits",
            summary="1,797 handwritten digits, 8x8 grey, scaled to 28x28; ships with scikit-learn",
            shape=_GREY_28,
            classes=10,
            has_test_part=False,
        ),
        DatasetInfo(
            name="mnist",
            summary="70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)",
            shape=_GREY_28,
            classes=10,
            has_test_part=True,
            files=_MNIST_FILES,
        ),
        DatasetInfo(
            name="fashion-mnist",
            summary="70,000 articles of clothing, 28x28 grey (Xiao et al. 2017)",
            shape=_GREY_28,
            classes=10,
            has_test_part=True,
            files=_MNIST_FILES,
        ),
        DatasetInfo(
            name="folder",
            summary="your own images: folder:PATH with a folder for each class; PNG, JPEG, BMP, TIFF, PGM or DICOM",
            shape=None,
            classes=0,
            has_test_part=False,
            is_folder=True,
            needs_path=True,
        ),
        DatasetInfo(
            name="manifest",
            summary="your own images: manifest:PATH of a CSV file with the columns path, label, group and split",
            shape=None,
            classes=0,
            has_test_part=False,
            is_folder=True,
            needs_path=True,
        ),
        DatasetInfo(
            name="kau",
            summary="KAU-BCMD mammograms, 64x64 grey, divided by patient; kau, or kau:PATH (Alsolami et al. 2021)",
            shape=InputShape(channels=1, height=64, width=64),
            classes=3,
            has_test_part=False,
            is_folder=True,
            class_maps=("three", "birads", "binary"),
            validation_percent=5,  # 85/10/5, section IV.F
        ),
    )
}
"""Data sets by name."""


def known_datasets() -> tuple[str, ...]:
    """Return what ``dataset`` can be, as one writes it."""
    names = [
        form
        for info in CATALOGUE.values()
        for form, is_form in ((info.name, not info.needs_path), (f"{info.name}:PATH", info.is_folder))
        if is_form
    ]
    return tuple(sorted(names))


def find_dataset(text: str) -> tuple[DatasetInfo, str] | None:
    """Read ``NAME`` or ``NAME:PATH``.

    Returns:
        The data set and the path as it was written, empty without one; None if there is no such data set.
    """
    name, colon, path = text.partition(":")
    info = CATALOGUE.get(name)
    if info is None or (colon and not info.is_folder) or (info.needs_path and not path) or (colon and not path):
        return None
    return info, path
