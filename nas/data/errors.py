# SPDX-License-Identifier: Apache-2.0
"""The errors of data sets. The message of each is one sentence that a user can act on.

A message shows an absolute path only if the user has typed it; files are named from ``<data root>`` on, cached data
sets by their folder. Files of images are not named, because a name may be that of a patient.

    DatasetError
    ├── UnknownDatasetError     there is no data set of that name
    ├── MissingDataRootError    no data root is set, or it is no folder
    ├── MissingFilesError       files of a data set are missing
    ├── CorruptFileError        a file exists but cannot be used
    ├── DownloadError           files could not be downloaded
    ├── PathOutsideError        a path leads out of the data root
    ├── MissingFolderError      a folder does not exist
    ├── FolderError             a folder cannot be used as a data set
    │   ├── EmptyFolderError    the folder has no images
    │   └── OneClassError       all its images have the same class
    ├── UnreadableImagesError   more images are unreadable than the search allows
    ├── SplitError              the images cannot be divided into train, validation and test
    │   └── LeakError           images of one group lie in different parts
    └── CacheError              a cached data set is damaged or cannot be written
"""

from __future__ import annotations

from pathlib import Path

_MOST_SHOWN = 200
"""Most characters of a path in a message."""


class DatasetError(Exception):
    """A data set cannot be used; the base class of the errors of this package."""


class UnknownDatasetError(DatasetError):
    """No data set has this name.

    Attributes:
        name: the name that was asked for.
        known: the names that exist.
    """

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no data set {name[:80]!r}; the data sets are {', '.join(known)}")
        self.name = name
        self.known = known


class MissingDataRootError(DatasetError):
    """The data set needs files, and there is no data root to find them in.

    Attributes:
        dataset: the data set as the user wrote it.
        is_configured: whether a data root is set, but does not exist.
    """

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
    """Files of a data set are missing.

    Attributes:
        dataset: name of the data set.
        expected_location: path of the folder from ``<data root>`` on.
        missing: one name per missing file, with an optional ending in brackets.
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
    """A file exists but cannot be used.

    Attributes:
        file: path of the file from ``<data root>`` on.
        reason: what is wrong, as the end of a sentence that begins with the file.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file} cannot be used: it {reason}; replace it with an intact copy")
        self.file = file
        self.reason = reason


class DownloadError(DatasetError):
    """Files could not be downloaded.

    Attributes:
        dataset: name of the data set.
        reason: what went wrong, in one line.
    """

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(
            f"data set {dataset!r} could not be downloaded: {reason}; "
            f"try again, or put the files into <data root>/{dataset} yourself"
        )
        self.dataset = dataset
        self.reason = reason


class PathOutsideError(DatasetError):
    """The path of a data set leads out of the data root; the message does not tell whether anything exists there."""

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"{dataset[:_MOST_SHOWN]!r} lies outside the server's data root; "
            "name a folder below it, or start the server with another --data-root"
        )
        self.dataset = dataset


class MissingFolderError(DatasetError):
    """The folder of a data set does not exist.

    Attributes:
        dataset: the data set as the user wrote it.
        expected_location: path of the folder from ``<data root>`` on; the full path if the data root is ``/``.
    """

    def __init__(self, dataset: str, expected_location: str) -> None:
        beginning = "" if Path(expected_location).is_absolute() else ", which starts at the server's --data-root"
        super().__init__(
            f"data set {dataset[:_MOST_SHOWN]!r} is read from the folder {expected_location[:_MOST_SHOWN]}, "
            f"which is not there; check the path{beginning}"
        )
        self.dataset = dataset
        self.expected_location = expected_location


class FolderError(DatasetError):
    """A folder cannot be used as a data set.

    Attributes:
        dataset: the data set as the user wrote it.
        reason: why, and what helps.
    """

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"data set {dataset[:_MOST_SHOWN]!r} cannot be used: {reason}")
        self.dataset = dataset
        self.reason = reason


class EmptyFolderError(FolderError):
    """A folder has no images in the places where they are expected."""


class OneClassError(FolderError):
    """All images have the same class, so there is nothing to learn."""


class UnreadableImagesError(DatasetError):
    """More images are unreadable than the search allows.

    Attributes:
        dataset: the data set as the user wrote it.
        unreadable: number of unreadable images.
        images: number of all images.
        allowed: ``max_bad_files`` of the search.
        first: the first unreadable image, by class and number, and what is wrong with it.
        report: path of the file with the names, in the state folder of the server.
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
    """The images cannot be divided so that each part has every class.

    Attributes:
        dataset: the data set as the user wrote it.
        reason: why, and what helps.
    """

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"data set {dataset!r} cannot be divided: {reason}")
        self.dataset = dataset
        self.reason = reason


class LeakError(SplitError):
    """Images of one group, such as a patient, lie in different parts, so the measured accuracy would be too high."""


class CacheError(DatasetError):
    """A cached data set is damaged or cannot be written.

    Attributes:
        entry: name of its folder in the cache.
    """

    def __init__(self, entry: str, reason: str) -> None:
        super().__init__(f"the cached data set {entry!r} {reason}")
        self.entry = entry
        self.reason = reason


def cannot_write(entry: str, error: OSError) -> CacheError:
    """Return the error for an entry that the operating system refused to write."""
    return CacheError(entry, f"cannot be written ({error.strerror}); check the disk of the server's state folder")
