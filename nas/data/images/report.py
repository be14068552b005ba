# SPDX-License-Identifier: Apache-2.0
"""What was found when a folder was read: with names in a file of the server, without names in warnings.

File names may tell whose images they are, so they stay in the report, which only the server's owner can read.
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
        file: path below the folder of the data set.
        place: the same without the name: class and number in the order of the names.
        reason: what is wrong, as the rest of a sentence.
    """

    file: str
    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """All that a user should know about a folder beside its images.

    Attributes:
        location: the folder, from ``<data root>`` on.
        images: files that were taken for images.
        images_per_class: images in use.
        patients: how many; None where the data set is not about patients or they are not known.
        unknown_patients: images whose patient is not known, of a data set about patients.
        copies: files left out because another file has the same content and class.
        conflicts: files left out because another file has the same content and another class.
        contradictions: files left out because sheet and folder give them different labels, and what each says.
        unlisted: what only one of sheet and folder knows.
        sheet_fault: why a sheet of labels could not be read; empty if it could, or if there is none.
        dark: images that use a few of their bits only.
        dark_bits: that the brightest of them uses.
        sample_bits: that it could use.
        left_out_folders, left_out_files: what is no part of the data set.
        division: what ``nas.data.inspect_division`` found when the set was last divided.
        passed_over: links, and what is neither file nor folder.
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
        """Write the report, readable for people and for ``load``; only its owner may read it."""
        _write_private(path, json.dumps(asdict(self), indent=1).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> IngestReport | None:
        """Read what ``save`` wrote; None if it is not there or something else."""
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
            unreadable = tuple(UnreadableImage(**image) for image in content["unreadable"])
            return cls(**content | lists | {"unreadable": unreadable})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def require_readable(self, allowed: int, shown: str) -> None:
        """Check that not too many images cannot be read.

        Args:
            allowed: ``max_bad_files`` of the search.
            shown: where the report lies, for the sentence.

        Raises:
            UnreadableImagesError: there are too many, or there is none that can be read.
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
        """Say in sentences without names what the user should know; ``shown`` is where the report lies."""
        sentences = tuple(sentence for say in _WARNINGS if (sentence := say(self)))
        named = (self.unreadable, self.copies, self.conflicts, self.contradictions, self.unlisted, self.sheet_fault)
        has_names = any(named) or self.left_out_folders or self.left_out_files
        return (*sentences, f"{shown} names the files that are meant") if has_names else sentences


def report_path_of(entry: Path) -> Path:
    """Where the report of a cached folder lies."""
    return entry.with_name(f"{entry.name}.report.json")


def count(number: int, noun: str) -> str:
    """Print ``1 image`` or ``2,206 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all: names of images may be names of people."""
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
    """Say what is wrong with dark images and what helps, after their number.

    Args:
        bits: that the brightest of them uses.
        sample_bits: that it could use.
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
