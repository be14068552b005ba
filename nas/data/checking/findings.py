# SPDX-License-Identifier: Apache-2.0
"""The findings of a check, as records. Together with the report of a folder they alone name files and patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nas.folders import PatientSource


class Level(Enum):
    """How serious a finding is."""

    FAULT = "fault"
    """A search would be refused, or its labels or its accuracy could not be trusted."""
    WARNING = "warning"
    """A search can start, but somebody should look at it."""
    NOTE = "note"
    """Handled by a rule; there is nothing to do, unless it is a surprise."""


class Kind(Enum):
    """The kinds of findings, with their level and their name on the wire."""

    UNUSABLE = Level.FAULT, "unusable"
    """No search can use the folder."""
    ONE_CLASS = Level.FAULT, "one_class"
    INDIVISIBLE = Level.FAULT, "indivisible"
    """The images cannot be divided so that train, validation and test each have every class."""
    LEAK = Level.FAULT, "leak"
    """The owner's parts share a patient, or files with the same content."""
    UNREADABLE = Level.FAULT, "unreadable"
    TWO_CLASSES = Level.FAULT, "two_classes"
    """Files with the same content have different classes."""
    LABEL_CONFLICT = Level.FAULT, "label_conflict"
    """Sheet and folder, or two rows of a list, label an image differently."""
    DUPLICATE = Level.WARNING, "duplicate"
    """Several files of one class have the same content."""
    LOOK_ALIKE = Level.WARNING, "look_alike"
    """Two files show the same picture, but have different bytes."""
    MASK_LIKE = Level.WARNING, "mask_like"
    """The image is blank, or only black and white, unlike most of the data set."""
    WRONG_EXTENSION = Level.WARNING, "wrong_extension"
    SHORTCUT = Level.WARNING, "shortcut"
    """A property such as size or format predicts the class."""
    DARK = Level.WARNING, "dark"
    """A 16-bit image uses at most a quarter of its grey scale."""
    UNKNOWN_PATIENT = Level.WARNING, "unknown_patient"
    PATIENT_IN_TWO_CLASSES = Level.WARNING, "patient_in_two_classes"
    NOT_LISTED = Level.WARNING, "not_listed"
    """An image has no row in the sheet, or a row has no image."""
    NO_MAMMOGRAM = Level.NOTE, "no_mammogram"
    """A file is left out because its path says mask, segmentation, report or ultrasound."""
    LEFT_OUT = Level.NOTE, "left_out"
    """A file or folder is left out for another reason."""

    def __init__(self, level: Level, word: str) -> None:
        self.level = level
        self.word = word


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of finding with its cases.

    Attributes:
        kind: what was found.
        sentence: what it is and what follows from it, without names.
        names: the first cases: files or patients, each with an explanation.
        count: number of all cases.
    """

    kind: Kind
    sentence: str
    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """The images of one class that are used.

    Attributes:
        name: name of the class.
        images: number of its images.
        patients: number of its patients; None if images have no patients, or if none is known.
        train, validation, test: images in each part; all 0 if the data set cannot be divided.
    """

    name: str
    images: int
    patients: int | None
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCount:
    """Number of images of one class with one format and size; a width of 0 stands for all sizes that are not listed."""

    class_name: str
    format: str
    width: int
    height: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The result of a check.

    Attributes:
        dataset: the data set, as ``--dataset`` takes it.
        location: path of the folder from ``<data root>`` on.
        files: number of files in the folder.
        images: number of files that are images of the data set.
        patients: number of patients, as in ``ClassCounts``.
        shape: shape that images are scaled into, as CxHxW; empty if there are no images.
        classes: images that are used, by class.
        sizes: formats and sizes of these images, by class.
        findings: what was found.
        patients_from: where the patients come from.
    """

    dataset: str
    location: str
    files: int
    images: int
    patients: int | None
    shape: str
    classes: tuple[ClassCounts, ...]
    sizes: tuple[SizeCount, ...]
    findings: tuple[Finding, ...]
    patients_from: PatientSource = PatientSource.NONE

    @property
    def is_ok(self) -> bool:
        """Whether no finding is a fault."""
        return all(finding.kind.level is not Level.FAULT for finding in self.findings)


def found(kind: Kind, sentence: str, names: Sequence[str], most_names: int) -> Finding:
    """Return a finding with the first ``most_names`` of its cases."""
    return Finding(kind=kind, sentence=sentence, names=tuple(names[:most_names]), count=len(names))
