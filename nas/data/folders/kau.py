# SPDX-License-Identifier: Apache-2.0
"""Arranges folders of KAU-BCMD mammograms (Alsolami et al. 2021), with labels by folder or by sheet.

Copies of the data set differ in their folders. Public code uses ``BIRAD1/b1/``, ``Birad3/b3/``, ``Birad5/Birad5/``,
``BIRAD 1/`` and ``Birad1/<case>/``; all of them are read. File names look like ``2016_BC017021_ MLO_R.jpg``: year,
patient, view, side. Tumour masks, segmentations, reports and ultrasound images beside or inside the class folders are
left out.
"""

from __future__ import annotations

import re

from nas.catalogue import CATALOGUE
from nas.data.errors import EmptyFolderError, FolderError, OneClassError
from nas.data.folders.layout import Arrangement, Found, Item, is_image_name
from nas.data.folders.sheet import MOST_BYTES, Sheet, SheetFault, find_sheets, key_of, read_sheet
from nas.data.folders.tree import FileError, FoundFile, Listing, Parts
from nas.folders import PatientSource, parse_class_map

_CLASS = re.compile(r"bi-?rads?[ _-]?([0-6])", re.IGNORECASE | re.ASCII)
_CATEGORY = re.compile(r"(?:bi-?rads?[ _-]?)?([0-6])", re.IGNORECASE | re.ASCII)
"""A label of a class map, such as ``4`` or ``BI-RADS 4``."""
_NO_MAMMOGRAM = re.compile(r"mask|segment|contour|annotat|report|ultra.?sound|tumou?r", re.IGNORECASE)
"""Matches names of files and folders that are no mammograms."""
_PATIENT = re.compile(r"(?<![a-z0-9])BC[ _-]?([0-9]+)", re.IGNORECASE | re.ASCII)
_NAME = re.compile(
    r"(?P<year>[0-9]{4})[ _-]*BC[ _-]?[0-9]+[ _-]*(?P<view>CC|MLO)[ _-]*(?P<side>[LR])", re.IGNORECASE | re.ASCII
)

_MAPS: dict[str, dict[str, tuple[int, ...]]] = {
    "three": {"BI-RADS 1": (1,), "BI-RADS 3": (3,), "BI-RADS 4-5": (4, 5)},
    "binary": {"BI-RADS 1-3": (1, 2, 3), "BI-RADS 4-5": (4, 5)},
}
"""By the name of a class map: each class and its BI-RADS categories."""


def arrange_birads(found: Found) -> Arrangement:
    """Arrange a folder that holds BI-RADS class folders at some depth; those nearest to the top count.

    If there is a sheet of labels, images that it labels differently than their folder are left out. Without class
    folders the labels come from the sheet alone.

    Raises:
        EmptyFolderError: no image has a label by folder or by sheet.
        FolderError: the class map names a label that is no BI-RADS category.
    """
    listing = found.listing
    sheet_file, sheet, fault = _open_sheet(found)
    roots = _class_folders(listing)
    categories = {file.parts: category for file in listing.files if (category := _category_of(file, roots)) is not None}
    by_sheet = False
    if not categories and sheet is not None:
        categories, by_sheet = _categories_by_sheet(listing, sheet), True
    if not categories:
        reason = "there is no image in a folder called like BIRAD1, Birad 3 or BI-RADS_4, which give the classes"
        raise EmptyFolderError(found.dataset, reason)
    contradictions = () if sheet is None else _contradictions(categories, sheet)
    doubtful = {parts for parts, _ in contradictions}
    classes = _classes(found, sorted(set(categories.values())))
    labels = {category: label for label, taken in enumerate(classes.values()) for category in taken}
    used = [file for file in listing.files if file.parts not in doubtful and categories.get(file.parts) in labels]
    items = _items(found, used, categories, labels)
    kept = doubtful | {file.parts for file in used} | ({sheet_file.parts} if sheet_file is not None else set())
    return Arrangement(
        class_names=tuple(classes),
        items=items,
        left_out_folders=() if by_sheet else _left_out_folders(listing, roots),
        left_out_files=tuple(sorted(file.parts for file in listing.files if file.parts not in kept)),
        is_grouped=True,
        patients_from=PatientSource.PATTERN if found.group_regex else PatientSource.FILE_NAME,
        refusal=_refusal(found, items),
        contradictions=contradictions,
        unlisted=() if sheet is None else _unlisted(categories, sheet),
        index_fault=fault,
    )


def _refusal(found: Found, items: tuple[Item, ...]) -> OneClassError | None:
    if len({item.label for item in items}) > 1:
        return None
    return OneClassError(found.dataset, "its images are of one class, and a search needs at least two; see --class-map")


def _open_sheet(found: Found) -> tuple[FoundFile | None, Sheet | None, str]:
    """Return the file of the sheet, the sheet, and why a file that looks like a sheet could not be read."""
    fault = ""
    for file in find_sheets(found.listing):
        try:
            sheet = read_sheet(file.parts[-1], found.read(file, MOST_BYTES))
        except (SheetFault, FileError) as error:
            fault = fault or f"{'/'.join(file.parts)}: {error.reason}"
            continue
        if sheet is not None:
            return file, sheet, ""
    return None, None, fault


def _categories_by_sheet(listing: Listing, sheet: Sheet) -> dict[Parts, int]:
    """Return the category of each image by the sheet alone.

    Images whose rows contradict each other get category 0; ``_contradictions`` finds them, and they are left out.
    """
    known = {**sheet.categories, **dict.fromkeys(sheet.contradictions, 0)}
    return {
        file.parts: known[key]
        for file in listing.files
        if is_image_name(file.parts[-1])
        and not is_no_mammogram(file.parts)
        and (key := key_of(file.parts[-1])) in known
    }


def _contradictions(categories: dict[Parts, int], sheet: Sheet) -> tuple[tuple[Parts, str], ...]:
    """Return the images that folder and sheet, or two rows of the sheet, label differently: path and explanation."""
    said = []
    for parts, category in sorted(categories.items()):
        key = key_of(parts[-1])
        if key in sheet.contradictions:
            said.append((parts, "has rows with different labels in the sheet"))
        elif sheet.categories.get(key, category) != category:
            said.append((parts, f"is BI-RADS {category} by its folder and {sheet.categories[key]} by the sheet"))
    return tuple(said)


def _unlisted(categories: dict[Parts, int], sheet: Sheet) -> tuple[str, ...]:
    """Return a sentence about each image without a row in the sheet, and about each row without an image."""
    keys = {key_of(parts[-1]): parts for parts in categories}
    known = sheet.categories.keys() | sheet.contradictions
    images = [f"{'/'.join(parts)}: not in the sheet" for key, parts in keys.items() if key not in known]
    rows = [f"{name}: in the sheet, and no such image" for key, name in sheet.names.items() if key not in keys]
    return (*sorted(images), *sorted(rows))


def _classes(found: Found, categories: list[int]) -> dict[str, tuple[int, ...]]:
    """Return the BI-RADS categories of each class."""
    if "=" not in found.class_map:
        named = _MAPS.get(found.class_map or CATALOGUE["kau"].class_maps[0])
        return named or {f"BI-RADS {category}": (category,) for category in categories}
    classes: dict[str, tuple[int, ...]] = {}
    for label, name in parse_class_map(found.class_map).items():
        category = _CATEGORY.fullmatch(label)
        if category is None:
            raise FolderError(found.dataset, f"--class-map names {label!r}, and its labels are BI-RADS 0 to 6")
        classes[name] = (*classes.get(name, ()), int(category[1]))
    return classes


def find_patient(parts: Parts) -> str | None:
    """Find the patient in the name of a file, or else in the nearest folder above it; None if no name holds one."""
    for name in reversed(parts):
        found = _PATIENT.search(name)
        if found:
            return f"BC{int(found[1])}"
    return None


def read_name(parts: Parts) -> tuple[str | None, str | None, str | None]:
    """Read year, view and side from the name of a file, such as ``2016_BC017021_ MLO_R.jpg``.

    Returns:
        None for each of them if the name has another form.
    """
    found = _NAME.fullmatch(parts[-1].rpartition(".")[0])
    return (None, None, None) if found is None else (found["year"], found["view"].upper(), found["side"].upper())


def is_no_mammogram(parts: Parts) -> bool:
    """Whether a name in a path says that the file is no mammogram."""
    return any(map(_NO_MAMMOGRAM.search, parts))


def _class_folders(listing: Listing) -> frozenset[Parts]:
    """Return the class folders nearest to the top; deeper ones, such as in an ultrasound folder, do not count."""
    matching = [folder for folder in listing.folders if _CLASS.fullmatch(folder[-1]) and not is_no_mammogram(folder)]
    nearest = min(map(len, matching), default=0)
    return frozenset(folder for folder in matching if len(folder) == nearest)


def _category_of(file: FoundFile, roots: frozenset[Parts]) -> int | None:
    """Return the BI-RADS category of an image; None if it is no mammogram, or its folders name several categories."""
    depth = len(next(iter(roots), ()))
    if file.parts[:depth] not in roots or not is_image_name(file.parts[-1]):
        return None
    if is_no_mammogram(file.parts[depth:]):
        return None
    named = {int(found[1]) for name in file.parts[:-1] if (found := _CLASS.fullmatch(name))}
    return named.pop() if len(named) == 1 else None


def _items(
    found: Found, used: list[FoundFile], categories: dict[Parts, int], labels: dict[int, int]
) -> tuple[Item, ...]:
    find_group = found.find_group if found.group_regex else find_patient
    used.sort(key=lambda file: (labels[categories[file.parts]], file.parts))
    numbers: dict[int, int] = {}
    items = []
    for file in used:
        label = labels[categories[file.parts]]
        numbers[label] = numbers.get(label, 0) + 1
        items.append(Item(file=file, label=label, number=numbers[label], group=find_group(file.parts)))
    return tuple(items)


def _left_out_folders(listing: Listing, roots: frozenset[Parts]) -> tuple[Parts, ...]:
    """Return the topmost folders without mammograms: outside the class folders, or of masks and the like."""
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
