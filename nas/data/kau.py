# SPDX-License-Identifier: Apache-2.0
"""KAU-BCMD mammograms (Alsolami et al. 2021) as people have them: every public layout, labels from the class folders.

Seen in public code: ``BIRAD1/b1/``, ``Birad3/b3/``, ``Birad5/Birad5/``, ``BIRAD 1/``, ``Birad1/<case>/``, with files
called ``2016_BC017021_ MLO_R.jpg``: year, patient, view, side. Tumour masks, segmentations, reports and ultrasound lie
beside or inside the class folders and are left out.
"""

from __future__ import annotations

import re

from nas.config import CATALOGUE
from nas.data.errors import EmptyFolderError, OneClassError
from nas.data.layout import Arrangement, Item, is_image_name
from nas.data.tree import FoundFile, Listing, Parts

_CLASS = re.compile(r"bi-?rads?[ _-]?([0-6])", re.IGNORECASE | re.ASCII)
_NO_MAMMOGRAM = re.compile(r"mask|segment|contour|annotat|report|ultra.?sound|tumou?r", re.IGNORECASE)
"""In the name of a file or folder that holds something else than mammograms."""
_PATIENT = re.compile(r"(?<![a-z0-9])BC[ _-]?([0-9]+)", re.IGNORECASE | re.ASCII)

_MAPS: dict[str, dict[str, tuple[int, ...]]] = {
    "three": {"BI-RADS 1": (1,), "BI-RADS 3": (3,), "BI-RADS 4-5": (4, 5)},
    "binary": {"BI-RADS 1-3": (1, 2, 3), "BI-RADS 4-5": (4, 5)},
}
"""Classes of a map, and the BI-RADS categories that each one takes in."""


def arrange_birads(dataset: str, listing: Listing, class_map: str) -> Arrangement:
    """Read a folder with BI-RADS class folders at any depth; those nearest to the top count.

    Raises:
        EmptyFolderError: there is no image in such a folder.
    """
    roots = _class_folders(listing)
    categories: dict[Parts, int] = {}
    left_out_files: list[Parts] = []
    for file in listing.files:
        category = _category_of(file, roots)
        if category is None:
            left_out_files.append(file.parts)
        else:
            categories[file.parts] = category
    if not categories:
        raise EmptyFolderError(
            dataset, "there is no image in a folder called like BIRAD1, Birad 3 or BI-RADS_4, which give the classes"
        )
    classes = _MAPS.get(class_map or CATALOGUE["kau"].class_maps[0]) or {
        f"BI-RADS {category}": (category,) for category in sorted(set(categories.values()))
    }
    labels = {category: label for label, taken in enumerate(classes.values()) for category in taken}
    left_out_files += [parts for parts, category in categories.items() if category not in labels]
    items = _items([file for file in listing.files if file.parts in categories], categories, labels)
    is_one_class = len({item.label for item in items}) < 2
    advice = "its images are of one class, and a search needs at least two; see --class-map"
    return Arrangement(
        class_names=tuple(classes),
        items=items,
        left_out_folders=_left_out_folders(listing, roots),
        left_out_files=tuple(sorted(left_out_files)),
        is_grouped=True,
        refusal=OneClassError(dataset, advice) if is_one_class else None,
    )


def find_patient(parts: Parts) -> str | None:
    """Read the patient from the name of a file, or from the nearest folder that says it; None if none does."""
    for name in reversed(parts):
        found = _PATIENT.search(name)
        if found:
            return f"BC{int(found[1])}"
    return None


def is_no_mammogram(parts: Parts) -> bool:
    """Whether a path says that something else than mammograms lies there."""
    return any(map(_NO_MAMMOGRAM.search, parts))


def _class_folders(listing: Listing) -> frozenset[Parts]:
    """The class folders nearest to the top, so that those inside an ultrasound folder do not count beside them."""
    matching = [folder for folder in listing.folders if _CLASS.fullmatch(folder[-1]) and not is_no_mammogram(folder)]
    nearest = min(map(len, matching), default=0)
    return frozenset(folder for folder in matching if len(folder) == nearest)


def _category_of(file: FoundFile, roots: frozenset[Parts]) -> int | None:
    """The BI-RADS category of an image; None if it is no mammogram or its folders contradict each other."""
    depth = len(next(iter(roots), ()))
    if file.parts[:depth] not in roots or not is_image_name(file.parts[-1]):
        return None
    if is_no_mammogram(file.parts[depth:]):
        return None
    named = {int(found[1]) for name in file.parts[:-1] if (found := _CLASS.fullmatch(name))}
    return named.pop() if len(named) == 1 else None


def _items(files: list[FoundFile], categories: dict[Parts, int], labels: dict[int, int]) -> tuple[Item, ...]:
    used = [file for file in files if categories[file.parts] in labels]
    used.sort(key=lambda file: (labels[categories[file.parts]], file.parts))
    numbers: dict[int, int] = {}
    items = []
    for file in used:
        label = labels[categories[file.parts]]
        numbers[label] = numbers.get(label, 0) + 1
        items.append(Item(file=file, label=label, number=numbers[label], group=find_patient(file.parts)))
    return tuple(items)


def _left_out_folders(listing: Listing, roots: frozenset[Parts]) -> tuple[Parts, ...]:
    """Folders that neither are nor hold nor lie in a class folder, and those in one that hold no mammograms."""
    depth = len(next(iter(roots), ()))
    left_out: set[Parts] = set()
    for folder in listing.folders:
        if any(folder[:length] in left_out for length in range(1, len(folder))):
            continue
        is_above = any(root[: len(folder)] == folder for root in roots)
        is_below = folder[:depth] in roots and not is_no_mammogram(folder[depth:])
        if not (is_above or is_below):
            left_out.add(folder)
    return tuple(sorted(left_out))
