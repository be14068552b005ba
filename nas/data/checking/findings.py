# SPDX-License-Identifier: Apache-2.0
"""What a check of a data set finds: records for people and programs, the only ones that name files and patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nas.folders import PatientSource


class Level(Enum):
    """How much a finding matters."""

    FAULT = "fault"
    """A search is refused, or its labels or its accuracy cannot be trusted."""
    WARNING = "warning"
    """A search can start; somebody should look."""
    NOTE = "note"
    """Dealt with by rule; nothing to do unless it is a surprise."""


class Kind(Enum):
    """What was found; each kind has one level."""

    UNUSABLE = Level.FAULT, "unusable"
    """No search can use the folder at all."""
    ONE_CLASS = Level.FAULT, "one_class"
    INDIVISIBLE = Level.FAULT, "indivisible"
    """Train, validation and test cannot each have every class."""
    LEAK = Level.FAULT, "leak"
    """What belongs together lies in different parts of the owner's."""
    UNREADABLE = Level.FAULT, "unreadable"
    TWO_CLASSES = Level.FAULT, "two_classes"
    """The same content lies in several classes."""
    LABEL_CONFLICT = Level.FAULT, "label_conflict"
    """Sheet and folder say different things."""
    DUPLICATE = Level.WARNING, "duplicate"
    """The same content lies there several times in one class."""
    LOOK_ALIKE = Level.WARNING, "look_alike"
    """Another file holds the same picture in other bytes."""
    MASK_LIKE = Level.WARNING, "mask_like"
    """Black and white only, or blank, unlike most of the set."""
    WRONG_EXTENSION = Level.WARNING, "wrong_extension"
    SHORTCUT = Level.WARNING, "shortcut"
    """Size or format tell the class."""
    DARK = Level.WARNING, "dark"
    """A 16-bit image that uses a few of its bits only."""
    UNKNOWN_PATIENT = Level.WARNING, "unknown_patient"
    PATIENT_IN_TWO_CLASSES = Level.WARNING, "patient_in_two_classes"
    NOT_LISTED = Level.WARNING, "not_listed"
    """Images that the sheet does not list, or rows without an image."""
    NO_MAMMOGRAM = Level.NOTE, "no_mammogram"
    """Left out: a mask, segmentation, report or ultrasound by its name or place."""
    LEFT_OUT = Level.NOTE, "left_out"
    """Left out for another reason."""

    def __init__(self, level: Level, word: str) -> None:
        self.level = level
        self.word = word


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, with all its cases.

    Attributes:
        sentence: what it is and what it means, without names.
        names: files or patients, with what there is to say of each; not all of them, if there are many.
        count: how many cases there are.
    """

    kind: Kind
    sentence: str
    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """Images of one class in use.

    Attributes:
        patients: None where the data set is not about patients or none is known.
        train, validation, test: images of each part; all 0 if the set cannot be divided.
    """

    name: str
    images: int
    patients: int | None
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCount:
    """Images of one class with one format and size; a width of 0 stands for all sizes that are not listed."""

    class_name: str
    format: str
    width: int
    height: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All that a check has to say.

    Attributes:
        dataset: as ``--dataset`` takes it.
        location: from ``<data root>`` on.
        files: that lie there.
        images: that were taken for images of the set.
        patients: as in ``ClassCounts``.
        shape: what images are brought to, as CxHxW; empty if there are none.
        patients_from: what says whose images they are.
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
        """Whether there is no fault."""
        return all(finding.kind.level is not Level.FAULT for finding in self.findings)


def found(kind: Kind, sentence: str, names: Sequence[str], most_names: int) -> Finding:
    """Make a finding of its cases, of which at most ``most_names`` are kept."""
    return Finding(kind=kind, sentence=sentence, names=tuple(names[:most_names]), count=len(names))
