# SPDX-License-Identifier: Apache-2.0
"""What a search runs on: its data set, the resources of its workers, the hardware and software of a training."""

from __future__ import annotations

from dataclasses import dataclass

from nas.config import Device, InputShape, Precision
from nas.folders import PatientSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCounts:
    """Images per class in the three parts of a data set, in class order."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def commonest(self) -> int:
        """The class with the most training images; on a tie the first one."""
        return self.train.index(max(self.train))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientCounts:
    """How many patients each part of a data set has, counted when the parts were made.

    Attributes:
        source: what tells the patient of an image.
        train, validation, test: patients of each part; 0 where images are divided one by one.
        leaks: patients (images where those are divided) in more than one part; a search with any is refused.
    """

    source: PatientSource
    train: int
    validation: int
    test: int
    leaks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """What a search knows about its data, fixed when it starts.

    Attributes:
        fingerprint: SHA-256 of the cached tensors, hexadecimal.
        split_fingerprint: SHA-256 of the parts' indices, hexadecimal.
        patients: in each part; None in journals of versions before 0.2.0.
    """

    shape: InputShape
    class_names: tuple[str, ...]
    counts: PartCounts
    fingerprint: str
    split_fingerprint: str
    patients: PatientCounts | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the server gives each worker of a search, fixed when it starts and reused after a restart.

    Attributes:
        threads: CPU threads of one worker; 1 and 2 threads give different bits.
        memory_limit_bytes: children whose training needs more by estimate are not proposed.
    """

    threads: int
    memory_limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything besides the request that the bits of a training depend on; the worker of an attempt reports it.

    Attributes:
        device: never AUTO.
        precision: never AUTO.
        threads: CPU threads.
        hardware: instruction sets of the processor, or the name of the accelerator.
        versions: of the libraries that compute, as (name, version), sorted by name.
    """

    device: Device
    precision: Precision
    threads: int
    hardware: str
    versions: tuple[tuple[str, str], ...]
