# SPDX-License-Identifier: Apache-2.0
"""The data sets that a search can use: their names, shapes and files. Nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from nas.augmentations import AFFINE
from nas.config import InputShape


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """One data set of the catalogue."""

    name: str
    summary: str
    shape: InputShape | None
    """Shape of an image; None if it follows from the images."""
    classes: int
    """Number of classes; 0 if it follows from the folders."""
    has_test_part: bool
    """Whether the publisher made a test part. If not, train, validation and test are 80/10/10 percent."""
    files: tuple[tuple[str, ...], ...] = ()
    """Files in ``<data root>/<name>``: a tuple of accepted names per file; empty if a package contains the data."""
    is_folder: bool = False
    """Whether the data set is a folder of image files, so that ``NAME:PATH`` is a data set, too."""
    needs_path: bool = False
    """Whether the name must be followed by a path, because no folder of this name is expected in the data root."""
    class_maps: tuple[str, ...] = ()
    """Names that ``class_map`` may have; the first is the default."""
    validation_percent: int = 10
    """Percentage of images that goes to validation if the publisher made no parts; ten percent go to test."""
    augmentations: tuple[str, ...] = (AFFINE,)
    """What ``augment`` auto means: kinds that leave the class of an image as it is, as far as can be known."""
    forbidden_augmentations: tuple[str, ...] = ()
    """Kinds that make another class of an image, or none."""
    why_forbidden: str = ""
    """The reason, a clause."""


_MNIST_FILES = tuple(
    (f"{name}-ubyte", f"{name}-ubyte.gz")
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
_MIRRORED_DIGIT = "a mirrored digit is another sign"
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
            forbidden_augmentations=("flip",),
            why_forbidden=_MIRRORED_DIGIT,
        ),
        DatasetInfo(
            name="mnist",
            summary="70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)",
            shape=_GREY_28,
            classes=10,
            has_test_part=True,
            files=_MNIST_FILES,
            forbidden_augmentations=("flip",),
            why_forbidden=_MIRRORED_DIGIT,
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
            augmentations=("flip", "intensity", AFFINE),  # a left breast mirrored is a right one; exposures differ
        ),
    )
}
"""The data sets by name."""


def known_datasets() -> tuple[str, ...]:
    """Return the forms that ``dataset`` may have, sorted, such as ``mnist`` and ``folder:PATH``."""
    names = [
        form
        for info in CATALOGUE.values()
        for form, is_form in ((info.name, not info.needs_path), (f"{info.name}:PATH", info.is_folder))
        if is_form
    ]
    return tuple(sorted(names))


def find_dataset(text: str) -> tuple[DatasetInfo, str] | None:
    """Parse ``NAME`` or ``NAME:PATH``.

    Returns:
        The data set, and the path as the user wrote it, which is empty without one; None if there is no such data set.
    """
    name, colon, path = text.partition(":")
    info = CATALOGUE.get(name)
    if info is None or (colon and not info.is_folder) or (info.needs_path and not path) or (colon and not path):
        return None
    return info, path
