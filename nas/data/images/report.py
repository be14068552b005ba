# SPDX-License-Identifier: Apache-2.0
"""The report on a folder of images: a file with names of images, and warnings without names.

File names may name patients. So they are written only to the report, which only the owner of the server can read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.data.errors import UnreadableImagesError
from nas.folders import LEAST_SAMPLE_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableImage:
    """An image that cannot be used.

    Attributes:
        file: path of the image below the folder.
        place: class of the image and its number in the class, which name it without its file name.
        reason: what is wrong, as the end of a sentence that begins with the image.
    """

    file: str
    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What a user should know about a folder.

    Attributes:
        dataset: the data set as the user wrote it.
        location: path of the folder from ``<data root>`` on.
        images: number of files that are images of the data set.
        images_per_class: number of images that are used, by class.
        patients: number of patients; None if images have no patients, or if none is known.
        unknown_patients: number of images whose patient is not known, if images have patients.
        unreadable: images that cannot be decoded.
        copies: files left out because another file has the same content and class.
        conflicts: files left out because a file with the same content has another class.
        contradictions: files left out because sheet and folder label them differently, and the two labels.
        unlisted: sentences about images without a row in the sheet, and rows without an image.
        sheet_fault: why a sheet of labels could not be read; empty if it could, or if there is none.
        dark: number of 16-bit images that use at most a quarter of their grey scale.
        dark_bits: bits of the largest value in those images.
        sample_bits: bits of the grey scale of 16-bit images.
        left_out_folders, left_out_files: folders and files that are not part of the data set.
        division: what ``nas.data.inspect_division`` returned when the data set was last divided.
        passed_over: number of links, and of entries that are neither files nor folders.
    """

    dataset: str
    location: str
    images: int
    images_per_class: dict[str, int]
    patients: int | None
    unknown_patients: int
    unreadable: tuple[UnreadableImage, ...]
    copies: tuple[str, ...]
    conflicts: tuple[str, ...]
    left_out_folders: tuple[str, ...]
    left_out_files: tuple[str, ...]
    passed_over: int
    contradictions: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    sheet_fault: str = ""
    division: dict[str, Any] | None = None
    dark: int = 0
    dark_bits: int = 0
    sample_bits: int = 16

    def save(self, path: Path) -> None:
        """Write the report as indented JSON; only the owner of the file may read it."""
        _write_private(path, json.dumps(asdict(self), indent=1).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> IngestReport | None:
        """Read what ``save`` wrote; None if the file is missing or damaged."""
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
            unreadable = tuple(UnreadableImage(**image) for image in content["unreadable"])
            return cls(**content | lists | {"unreadable": unreadable})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def require_readable(self, allowed: int, shown: str) -> None:
        """Check that enough images can be decoded.

        Args:
            allowed: ``max_bad_files`` of the search.
            shown: where the report is, for the error message.

        Raises:
            UnreadableImagesError: more images are unreadable than allowed, or all of them are.
        """
        unreadable = len(self.unreadable)
        if unreadable > allowed or unreadable == self.images:
            raise UnreadableImagesError(
                self.dataset,
                unreadable=unreadable,
                images=self.images,
                allowed=allowed,
                first=_say(self.unreadable[0]),
                report=shown,
            )

    def warnings(self, shown: str) -> tuple[str, ...]:
        """Return the report as sentences without names.

        Args:
            shown: where the report is, for the last sentence.
        """
        sentences = tuple(sentence for say in _WARNINGS if (sentence := say(self)))
        named = (self.unreadable, self.copies, self.conflicts, self.contradictions, self.unlisted, self.sheet_fault)
        has_names = any(named) or self.left_out_folders or self.left_out_files
        return (*sentences, f"{shown} names the files that are meant") if has_names else sentences


def report_path_of(entry: Path) -> Path:
    """Return the path of the report of an entry in the cache."""
    return entry.with_name(f"{entry.name}.report.json")


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 image`` or ``2,206 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.new")
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)


def _say(image: UnreadableImage) -> str:
    return f"{image.place} {image.reason}"


def _about_unreadable(report: IngestReport) -> str:
    if not report.unreadable:
        return ""
    images = f"{len(report.unreadable):,} of {count(report.images, 'image')}"
    return f"{images} cannot be read and are left out (first: {_say(report.unreadable[0])})"


def _about_the_dark(report: IngestReport) -> str:
    if not report.dark:
        return ""
    return f"{count(report.dark, 'image')} {say_dark(report.dark_bits, report.sample_bits)}"


def say_dark(bits: int, sample_bits: int) -> str:
    """Return the end of a sentence about dark images, which begins with their number.

    Args:
        bits: bits of the largest value in those images.
        sample_bits: bits of their grey scale.
    """
    return (
        f"with at most {bits} of {sample_bits} bits in use come out dark; if their values never take more, "
        f"--sample-bits {max(bits, LEAST_SAMPLE_BITS)} brings them to the full range"
    )


def _about_copies(report: IngestReport) -> str:
    if not report.copies:
        return ""
    return f"left out: {count(len(report.copies), 'image')} with the content of another one of the same class"


def _about_conflicts(report: IngestReport) -> str:
    if not report.conflicts:
        return ""
    return f"left out: {count(len(report.conflicts), 'image')} whose content lies in more than one class"


def _about_the_sheet(report: IngestReport) -> str:
    if report.sheet_fault:
        return "a sheet of labels cannot be read, so the folders alone give them"
    if not report.contradictions:
        return ""
    return f"left out: {count(len(report.contradictions), 'image')} that sheet and folder give different labels"


def _about_the_rest(report: IngestReport) -> str:
    folders, files = len(report.left_out_folders), len(report.left_out_files)
    found = [
        count(number, noun)
        for number, noun in ((folders, "folder"), (files, "file"), (report.passed_over, "link"))
        if number
    ]
    return f"left out: {', '.join(found)} that the data set does not use" if found else ""


def _about_patients(report: IngestReport) -> str:
    unknown = report.unknown_patients
    if not unknown:
        return ""
    if report.patients is None:
        return (
            "no file name says which patient it is of, so the data set is divided by image: images of one patient may "
            "lie in different parts, and the accuracy flatters"
        )
    return (
        f"the patient of {count(unknown, 'image')} is not known; each image is taken for a patient of its own, and if "
        "it is not, the accuracy flatters"
    )


_WARNINGS: tuple[Callable[[IngestReport], str], ...] = (
    _about_patients,
    _about_unreadable,
    _about_the_dark,
    _about_conflicts,
    _about_copies,
    _about_the_sheet,
    _about_the_rest,
)
