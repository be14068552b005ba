# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a data set, each said in one sentence that a user can act on.

No sentence holds an absolute path that the user has not typed: files are named below ``<data root>``, cached data sets
by their folder. Images of people are never named, for the names may tell whose they are.

    DatasetError
    ├── UnknownDatasetError     no data set of that name
    ├── MissingDataRootError    no data root is set, or it is no folder
    ├── MissingFilesError       files are not where they have to lie
    ├── CorruptFileError        a file is there but cannot be used
    ├── DownloadError           files could not be fetched
    ├── PathOutsideError        a path leads out of the data root
    ├── MissingFolderError      there is no such folder
    ├── FolderError             a folder cannot be read as a data set
    │   ├── EmptyFolderError    it holds no images
    │   └── OneClassError       all images are of one class
    ├── UnreadableImagesError   more images cannot be read than the search allows
    ├── SplitError              the images cannot be divided into train, validation and test
    │   └── LeakError           what belongs together lies in different parts
    └── CacheError              a cached data set is damaged or cannot be written
"""

from __future__ import annotations

from pathlib import Path

_MOST_SHOWN = 200
"""Characters of a path that a sentence holds."""


class DatasetError(Exception):
    """Anything that keeps a data set from being used."""


class UnknownDatasetError(DatasetError):
    """No data set has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no data set {name[:80]!r}; the data sets are {', '.join(known)}")
        self.name = name
        self.known = known


class MissingDataRootError(DatasetError):
    """The data set needs files, and there is no folder to look for them."""

    def __init__(self, dataset: str, *, is_configured: bool) -> None:
        fault = "there is no data root on the server's machine" if is_configured else "no data root is set"
        name, _, path = dataset[:_MOST_SHOWN].partition(":")
        super().__init__(
            f"data set {dataset[:_MOST_SHOWN]!r} is read from files and {fault}; "
            f"start the server with --data-root DIR or NAS_DATA_ROOT=DIR, where DIR/{path or name} holds the files"
        )
        self.dataset = dataset
        self.is_configured = is_configured


class MissingFilesError(DatasetError):
    """Files of a data set are not where they have to lie.

    Attributes:
        expected_location: the folder, written from ``<data root>`` on.
        missing: one entry a file, an optional ending in brackets.
    """

    def __init__(self, dataset: str, expected_location: str, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"data set {dataset!r} is missing {', '.join(missing)} under {expected_location}; "
            "put the files there or start the server with another --data-root"
        )
        self.dataset = dataset
        self.expected_location = expected_location
        self.missing = missing


class CorruptFileError(DatasetError):
    """A file is there but cannot be used; ``file`` is written from ``<data root>`` on."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file} cannot be used: it {reason}; replace it with an intact copy")
        self.file = file
        self.reason = reason


class DownloadError(DatasetError):
    """Files could not be fetched; ``reason`` is one line."""

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(
            f"data set {dataset!r} could not be downloaded: {reason}; "
            f"try again, or put the files into <data root>/{dataset} yourself"
        )
        self.dataset = dataset
        self.reason = reason


class PathOutsideError(DatasetError):
    """The path of a data set leads out of the data root; nothing is said about what lies there."""

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"{dataset[:_MOST_SHOWN]!r} lies outside the server's data root; "
            "name a folder below it, or start the server with another --data-root"
        )
        self.dataset = dataset


class MissingFolderError(DatasetError):
    """There is no such folder; ``expected_location`` is written from ``<data root>`` on, or in full if it is ``/``."""

    def __init__(self, dataset: str, expected_location: str) -> None:
        beginning = "" if Path(expected_location).is_absolute() else ", which starts at the server's --data-root"
        super().__init__(
            f"data set {dataset[:_MOST_SHOWN]!r} is read from the folder {expected_location[:_MOST_SHOWN]}, "
            f"which is not there; check the path{beginning}"
        )
        self.dataset = dataset
        self.expected_location = expected_location


class FolderError(DatasetError):
    """A folder cannot be read as a data set; ``reason`` says why and what helps."""

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"data set {dataset[:_MOST_SHOWN]!r} cannot be used: {reason}")
        self.dataset = dataset
        self.reason = reason


class EmptyFolderError(FolderError):
    """A folder holds no images where they are looked for."""


class OneClassError(FolderError):
    """All images are of one class, so there is nothing to tell apart."""


class UnreadableImagesError(DatasetError):
    """More images cannot be read than the search allows.

    Attributes:
        unreadable, images: how many of how many.
        allowed: ``max_bad_files`` of the search.
        first: which image, by class and number, and what is wrong with it.
        report: where the server keeps the names, below its state folder.
    """

    def __init__(self, dataset: str, *, unreadable: int, images: int, allowed: int, first: str, report: str) -> None:
        super().__init__(
            f"{unreadable} of {images} images of data set {dataset[:_MOST_SHOWN]!r} cannot be read (first: {first}), "
            f"and --max-bad-files allows {allowed}; replace them or allow more; {report} lists them by name"
        )
        self.dataset = dataset
        self.unreadable = unreadable
        self.images = images
        self.allowed = allowed
        self.first = first
        self.report = report


class SplitError(DatasetError):
    """The images cannot be divided so that every part has every class."""

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"data set {dataset!r} cannot be divided: {reason}")
        self.dataset = dataset
        self.reason = reason


class LeakError(SplitError):
    """Images that belong together lie in different parts, so the accuracy would flatter."""


class CacheError(DatasetError):
    """A cached data set is damaged or cannot be written; ``entry`` is the name of its folder in the cache."""

    def __init__(self, entry: str, reason: str) -> None:
        super().__init__(f"the cached data set {entry!r} {reason}")
        self.entry = entry
        self.reason = reason


def cannot_write(entry: str, error: OSError) -> CacheError:
    """Say that the disk refuses."""
    return CacheError(entry, f"cannot be written ({error.strerror}); check the disk of the server's state folder")
