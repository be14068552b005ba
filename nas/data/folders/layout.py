# SPDX-License-Identifier: Apache-2.0
"""Arranges a folder as a data set: finds its images, and the class, part and patient of each.

Also holds the layout of plain folders: a folder per class, either at the top or below train, validation and test
folders. The order is fixed: classes by name, images by path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nas.data.errors import EmptyFolderError, FolderError, OneClassError
from nas.data.folders.tree import FoundFile, Listing, Parts
from nas.folders import PatientSource, compile_group_regex, parse_class_map

KINDS = {
    **{"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "bmp": "BMP"},
    **{"tif": "TIFF", "tiff": "TIFF", "pgm": "PPM", "dcm": "DICOM"},
}
"""Format by the ending of a file name, in lower case. It finds images; how to decode one follows from its content."""


class Part(IntEnum):
    """The part of the data set that the owner of a folder has put an image into, in the order of the cache."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


PART_NAMES = {
    "train": Part.TRAIN,
    "training": Part.TRAIN,
    "val": Part.VALIDATION,
    "valid": Part.VALIDATION,
    "validation": Part.VALIDATION,
    "test": Part.TEST,
    "testing": Part.TEST,
}
"""Part by the name of its folder, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image file.

    Attributes:
        label: index into the class names.
        number: place in its class folder, from 1. Messages name an image by class and number, not by its file.
        group: name of the group that must stay in one part, such as a patient; None if it is not known.
    """

    file: FoundFile
    label: int
    number: int
    part: Part = Part.TRAIN
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """A folder, arranged as a data set.

    Attributes:
        items: the images, sorted by part, class and path.
        left_out_folders: topmost folders that hold nothing of the data set.
        left_out_files: files that are not used as images, in those folders or elsewhere.
        is_grouped: whether images have patients, even if none of them is known.
        patients_from: where the names of the groups come from.
        refusal: the error that keeps a search from using the folder; None if there is none.
        contradictions: images that are left out because two sources give them different labels: path and explanation.
        unlisted: sentences about images without a row in the sheet, and rows without an image.
        index_fault: why a sheet of labels could not be read; empty if it could, or if there is none.
    """

    class_names: tuple[str, ...]
    items: tuple[Item, ...]
    left_out_folders: tuple[Parts, ...]
    left_out_files: tuple[Parts, ...]
    is_grouped: bool = False
    patients_from: PatientSource = PatientSource.NONE
    refusal: FolderError | None = None
    contradictions: tuple[tuple[Parts, str], ...] = ()
    unlisted: tuple[str, ...] = ()
    index_fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A folder that has been listed, but not yet arranged.

    Attributes:
        dataset: as the user wrote it.
        class_map: as the user wrote it; empty for the default of the data set.
        group_regex: pattern that finds the group of an image in its path; empty for the default of the data set.
        index: name of the file that lists the images, if the user named one.
        read: reads a file of at most the given number of bytes; raises ``FileError``.
    """

    dataset: str
    listing: Listing
    class_map: str = ""
    group_regex: str = ""
    index: str = ""
    read: Callable[[FoundFile, int], bytes]

    def find_group(self, parts: Parts) -> str | None:
        """Find the group of an image in its path by the user's pattern.

        Returns:
            None if the pattern does not match, or if there is no pattern.
        """
        if not self.group_regex:
            return None
        found = compile_group_regex(self.group_regex).search("/".join(parts))
        return None if found is None else found[found.re.groups]


Layout = Callable[[Found], Arrangement]
"""Arranges a folder as a data set."""


def is_image_name(name: str) -> bool:
    """Whether the ending of a file name is one of ``KINDS``."""
    stem, dot, ending = name.rpartition(".")
    return bool(stem and dot) and ending.casefold() in KINDS


def arrange_classes(found: Found) -> Arrangement:
    """Arrange a folder that has a folder per class, or such folders below train, validation and test folders.

    Raises:
        FolderError: two folders name the same part, or the name of a class cannot be printed.
        EmptyFolderError: there are no images in class folders.
    """
    dataset, listing = found.dataset, found.listing
    parts = _find_parts(dataset, listing)
    depth = 1 if parts else 0
    images, left_out = _sort_by_class(listing, parts, depth)
    classes = {
        folder[depth] for folder in listing.folders if len(folder) == depth + 1 and (not parts or folder[0] in parts)
    }
    _require_classes(dataset, tuple(sorted(classes)), bool(images))
    names = name_classes(found.class_map, sorted(classes))
    left_out += [file.parts for (_, name), files in images.items() if name not in names for file in files]
    class_names = tuple(dict.fromkeys(names.values()))
    labels = {name: class_names.index(one) for name, one in names.items()}
    items = [
        Item(file=file, label=labels[name], number=number, part=part, group=found.find_group(file.parts))
        for (part, name), files in sorted(images.items(), key=lambda entry: entry[0])
        if name in names
        for number, file in enumerate(files, 1)
    ]
    items.sort(key=lambda item: (item.part, item.label))  # stable: by path within a class
    other_folders = [folder for folder in listing.folders if len(folder) == 1 and parts and folder[0] not in parts]
    return Arrangement(
        class_names=class_names,
        items=tuple(items),
        left_out_folders=tuple(other_folders),
        left_out_files=tuple(sorted(left_out)),
        is_grouped=bool(found.group_regex),
        patients_from=PatientSource.PATTERN if found.group_regex else PatientSource.NONE,
        refusal=_one_class(dataset, class_names),
    )


def _sort_by_class(
    listing: Listing, parts: Mapping[str, Part], depth: int
) -> tuple[dict[tuple[Part, str], list[FoundFile]], list[Parts]]:
    """Return the images by part and class folder, and the paths of all other files."""
    images: dict[tuple[Part, str], list[FoundFile]] = {}
    others: list[Parts] = []
    for file in listing.files:
        part = parts.get(file.parts[0]) if parts else Part.TRAIN
        if part is None or len(file.parts) < depth + 2 or not is_image_name(file.parts[-1]):
            others.append(file.parts)
        else:
            images.setdefault((part, file.parts[depth]), []).append(file)
    return images, others


def name_classes(class_map: str, labels: Sequence[str]) -> dict[str, str]:
    """Return the class of each label, in the order of the classes.

    Labels that the class map does not mention are left out.

    Args:
        class_map: as the user wrote it; if it is empty, each label is a class.
        labels: the labels of the folder, sorted.
    """
    if not class_map:
        return {label: label for label in labels}
    return {label: name for label, name in parse_class_map(class_map).items() if label in labels}


def _find_parts(dataset: str, listing: Listing) -> dict[str, Part]:
    """Return the part of each part folder; empty unless a training folder is there that holds folders and no images."""
    found = {
        folder[0]: PART_NAMES[folder[0].casefold()]
        for folder in listing.folders
        if len(folder) == 1 and folder[0].casefold() in PART_NAMES
    }
    training = [name for name, part in found.items() if part is Part.TRAIN]
    holds_folders = any(len(folder) == 2 and folder[0] in training for folder in listing.folders)
    holds_images = any(
        len(file.parts) == 2 and file.parts[0] in training and is_image_name(file.parts[1]) for file in listing.files
    )
    if not holds_folders or holds_images:
        return {}
    for part in Part:
        names = sorted(name for name, its_part in found.items() if its_part is part)
        if len(names) > 1:
            raise FolderError(dataset, f"{' and '.join(map(repr, names))} are for the same part; keep one of them")
    return found


def _require_classes(dataset: str, class_names: tuple[str, ...], has_images: bool) -> None:
    if not has_images:
        raise EmptyFolderError(
            dataset,
            "it has no folder with images; put each class into a folder of its own, "
            f"with files that end in {', '.join(KINDS)}",
        )
    unprintable = [name for name in class_names if not name.isprintable()]
    if unprintable:
        raise FolderError(dataset, f"the class folder {unprintable[0]!r} has no printable name; rename it")


def _one_class(dataset: str, class_names: tuple[str, ...]) -> OneClassError | None:
    if len(class_names) > 1:
        return None
    if not class_names:
        return OneClassError(dataset, "no class folder is in --class-map")
    return OneClassError(
        dataset,
        f"{class_names[0]!r} is its only class folder, and a search needs at least two classes; "
        "if they lie deeper, name the folder that holds them",
    )


def start_of(part: Part, used: Sequence[Item]) -> int | None:
    """Return the index of the first image of a part; None if the part has no images."""
    return next((index for index, item in enumerate(used) if item.part is part), None)


def number_groups(used: Sequence[Item]) -> npt.NDArray[np.int64] | None:
    """Number the groups in the order of their names, one number per image.

    An image without a group gets a number of its own.

    Returns:
        None if no image has a group.
    """
    names = sorted({item.group for item in used if item.group is not None})
    if not names:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    groups = [numbers[item.group] if item.group is not None else len(names) + i for i, item in enumerate(used)]
    return np.array(groups, np.int64)
