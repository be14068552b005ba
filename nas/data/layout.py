# SPDX-License-Identifier: Apache-2.0
"""Which file of a folder is an image of which class and part: a folder for each class, or the same below part folders.

Deterministic: classes by name, images by path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from nas.data.decode import ENDINGS
from nas.data.errors import EmptyFolderError, FolderError, OneClassError
from nas.data.tree import FoundFile, Listing, Parts


class Part(IntEnum):
    """What the owner of a folder says an image is for, in the order of the cache."""

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
"""Names of part folders, in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image file.

    Attributes:
        label: index into the class names.
        number: place in its class folder, from 1; with the class it tells people which image is meant.
        group: what must not be divided, such as a patient; None where that is not known.
    """

    file: FoundFile
    label: int
    number: int
    part: Part = Part.TRAIN
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """A folder read as a data set.

    Attributes:
        items: by part, class and path.
        left_out_folders: folders that are no part of it; what is below them is not listed again.
        left_out_files: files that are no images of it, in these folders or elsewhere.
        is_grouped: whether the data set is about patients, whether or not they are known.
        refusal: why no search can use it; None if one may.
    """

    class_names: tuple[str, ...]
    items: tuple[Item, ...]
    left_out_folders: tuple[Parts, ...]
    left_out_files: tuple[Parts, ...]
    is_grouped: bool = False
    refusal: FolderError | None = None


Layout = Callable[[str, Listing, str], Arrangement]
"""Reads a folder as a data set, given the data set as the user wrote it, what is there, and the class map."""


def is_image_name(name: str) -> bool:
    """Whether a file name ends as one of the formats does."""
    stem, dot, ending = name.rpartition(".")
    return bool(stem and dot) and ending.casefold() in ENDINGS


def arrange_classes(dataset: str, listing: Listing, class_map: str) -> Arrangement:
    """Read a folder with a folder for each class, or with train, validation and test folders of such folders.

    Raises:
        FolderError: two folders are for the same part, or a class has no printable name.
        EmptyFolderError: there are no images in class folders.
    """
    parts = _find_parts(dataset, listing)
    depth = 1 if parts else 0
    images: dict[tuple[Part, str], list[FoundFile]] = {}
    left_out: list[Parts] = []
    for file in listing.files:
        part = parts.get(file.parts[0]) if parts else Part.TRAIN
        if part is None or len(file.parts) < depth + 2 or not is_image_name(file.parts[-1]):
            left_out.append(file.parts)
        else:
            images.setdefault((part, file.parts[depth]), []).append(file)
    classes = {
        folder[depth] for folder in listing.folders if len(folder) == depth + 1 and (not parts or folder[0] in parts)
    }
    class_names = tuple(sorted(classes))
    _require_classes(dataset, class_names, bool(images))
    items = [
        Item(file=file, label=class_names.index(name), number=number, part=part)
        for (part, name), files in sorted(images.items(), key=lambda entry: entry[0])
        for number, file in enumerate(files, 1)
    ]
    other_folders = [folder for folder in listing.folders if len(folder) == 1 and parts and folder[0] not in parts]
    return Arrangement(
        class_names=class_names,
        items=tuple(items),
        left_out_folders=tuple(other_folders),
        left_out_files=tuple(left_out),
        refusal=_one_class(dataset, class_names),
    )


def _find_parts(dataset: str, listing: Listing) -> dict[str, Part]:
    """Return the part folders; none unless there is one for training that holds folders and no images."""
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
            f"with files that end in {', '.join(ENDINGS)}",
        )
    unprintable = [name for name in class_names if not name.isprintable()]
    if unprintable:
        raise FolderError(dataset, f"the class folder {unprintable[0]!r} has no printable name; rename it")


def _one_class(dataset: str, class_names: tuple[str, ...]) -> OneClassError | None:
    if len(class_names) > 1:
        return None
    return OneClassError(
        dataset,
        f"{class_names[0]!r} is its only class folder, and a search needs at least two classes; "
        "if they lie deeper, name the folder that holds them",
    )
