# SPDX-License-Identifier: Apache-2.0
"""Arranges a folder by a CSV file that lists its images.

The columns are ``path`` and ``label``, and optionally ``group`` (such as the patient) and ``split``. Paths are relative
to the folder of the CSV file. Error messages name lines by number and do not repeat their content.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from nas.data.errors import EmptyFolderError, FolderError, OneClassError
from nas.data.folders.layout import PART_NAMES, Arrangement, Found, Item, Part, name_classes
from nas.data.folders.tree import FileError, FoundFile, Parts
from nas.folders import PatientSource

DEFAULT_NAME = "manifest.csv"
"""Name of the CSV file, if the user names only its folder."""
_MOST_BYTES = 256 * 2**20
_REQUIRED = ("path", "label")
_OPTIONAL = ("group", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    file: FoundFile
    label: str
    group: str | None
    part: Part | None


def arrange_manifest(found: Found) -> Arrangement:
    """Arrange a folder by its list.

    Raises:
        FolderError: the list is missing, or one of its lines is invalid.
        EmptyFolderError: the list has no images.
    """
    missing: list[str] = []
    by_file: dict[Parts, _Row] = {}
    contradictions: dict[Parts, str] = {}
    for row in _rows(found, missing):
        first = by_file.setdefault(row.file.parts, row)
        if (first.label, first.group, first.part) != (row.label, row.group, row.part):
            contradictions[row.file.parts] = f"is listed differently in lines {first.line} and {row.line}"
    if not by_file and not missing:
        raise EmptyFolderError(found.dataset, f"{found.index or DEFAULT_NAME} lists no image")
    rows = [row for row in by_file.values() if row.file.parts not in contradictions]
    parts = {row.part for row in rows}
    if None in parts and len(parts) > 1:
        raise FolderError(found.dataset, "some lines of the list name a split and others do not; name all or none")
    names = name_classes(found.class_map, sorted({row.label for row in rows}))
    return Arrangement(
        class_names=tuple(dict.fromkeys(names.values())),
        items=_items(found, rows, names),
        left_out_folders=(),
        left_out_files=_left_out(found, by_file, names),
        is_grouped=bool(found.group_regex) or any(row.group is not None for row in rows),
        patients_from=_patients_from(found, rows),
        refusal=_refusal(found, missing, names),
        contradictions=tuple(sorted(contradictions.items())),
        unlisted=tuple(missing),
    )


def _patients_from(found: Found, rows: list[_Row]) -> PatientSource:
    if any(row.group is not None for row in rows):
        return PatientSource.LIST
    return PatientSource.PATTERN if found.group_regex else PatientSource.NONE


def _items(found: Found, rows: list[_Row], names: dict[str, str]) -> tuple[Item, ...]:
    class_names = list(dict.fromkeys(names.values()))
    numbers: dict[tuple[Part, int], int] = {}
    items = []
    used = [(row.part or Part.TRAIN, class_names.index(names[row.label]), row) for row in rows if row.label in names]
    for part, label, row in sorted(used, key=lambda entry: (entry[0], entry[1], entry[2].file.parts)):
        number = numbers[part, label] = numbers.get((part, label), 0) + 1
        group = row.group if row.group is not None else found.find_group(row.file.parts)
        items.append(Item(file=row.file, label=label, number=number, part=part, group=group))
    return tuple(items)


def _rows(found: Found, missing: list[str]) -> Iterator[_Row]:
    """Yield the lines whose file exists; append a sentence about each other line to ``missing``."""
    files = {file.parts: file for file in found.listing.files}
    lines = csv.reader(io.StringIO(_read(found), newline=""))
    try:
        columns = _find_columns(found, next(lines, []))
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            cell = {name: cells[at].strip() if at < len(cells) else "" for name, at in columns.items()}
            parts = tuple(part for part in cell["path"].replace("\\", "/").split("/") if part not in ("", "."))
            if not parts or not cell["label"] or not cell["label"].isprintable() or ".." in parts:
                reason = f"line {lines.line_num} of its list needs a path below the list's folder, and a label"
                raise FolderError(found.dataset, reason)
            if parts not in files:
                missing.append(f"line {lines.line_num}: {'/'.join(parts)} is not there")
                continue
            part = _read_split(found, cell.get("split", ""), lines.line_num)
            group = cell.get("group") or None
            yield _Row(line=lines.line_num, file=files[parts], label=cell["label"], group=group, part=part)
    except csv.Error as error:
        raise FolderError(found.dataset, f"line {lines.line_num} of its list is no CSV") from error


def _read(found: Found) -> str:
    name = found.index or DEFAULT_NAME
    file = next((file for file in found.listing.files if file.parts == (name,)), None)
    if file is None:
        raise FolderError(found.dataset, f"there is no {name!r} in it, which has to list its images")
    try:
        return found.read(file, _MOST_BYTES).decode("utf-8-sig")
    except FileError as error:
        raise FolderError(found.dataset, f"its list {error.reason}") from error
    except UnicodeDecodeError as error:
        raise FolderError(found.dataset, "its list is no UTF-8 text") from error


def _find_columns(found: Found, headings: list[str]) -> dict[str, int]:
    known = {heading.strip().casefold(): at for at, heading in reversed(list(enumerate(headings)))}
    if any(name not in known for name in _REQUIRED):
        raise FolderError(found.dataset, "the first line of its list has to name the columns path and label")
    return {name: known[name] for name in (*_REQUIRED, *_OPTIONAL) if name in known}


def _read_split(found: Found, text: str, line: int) -> Part | None:
    if not text:
        return None
    if text.casefold() not in PART_NAMES:
        raise FolderError(found.dataset, f"line {line} of its list names a split that is not train, validation or test")
    return PART_NAMES[text.casefold()]


def _left_out(found: Found, listed: dict[Parts, _Row], names: dict[str, str]) -> tuple[Parts, ...]:
    index = (found.index or DEFAULT_NAME,)
    unused = {parts for parts, row in listed.items() if row.label not in names}
    others = {file.parts for file in found.listing.files} - listed.keys() - {index}
    return tuple(sorted(unused | others))


def _refusal(found: Found, missing: list[str], names: dict[str, str]) -> FolderError | None:
    if missing:
        reason = f"{len(missing)} of the files that it lists are not there (first: {missing[0].partition(':')[0]})"
        return FolderError(found.dataset, reason)
    if len(set(names.values())) < 2:
        return OneClassError(found.dataset, "its images are of one class, and a search needs at least two")
    return None
