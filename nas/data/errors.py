# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a data set, each said in one sentence that a user can act on.

No sentence holds an absolute path: files are named below ``<data root>``, cached data sets by their folder.

    DatasetError
    ├── UnknownDatasetError     no data set of that name
    ├── MissingDataRootError    no data root is set, or it is no folder
    ├── MissingFilesError       files are not where they have to lie
    ├── CorruptFileError        a file is there but cannot be used
    ├── SplitError              the images cannot be divided into train, validation and test
    └── CacheError              a cached data set is damaged or cannot be written
"""

from __future__ import annotations


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
        fault = "the data root is no folder on the server's machine" if is_configured else "no data root is set"
        super().__init__(
            f"data set {dataset!r} is read from files and {fault}; "
            f"start the server with --data-root DIR, where DIR/{dataset} holds the files"
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


class SplitError(DatasetError):
    """The images cannot be divided so that every part has every class."""

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(f"data set {dataset!r} cannot be divided: {reason}")
        self.dataset = dataset
        self.reason = reason


class CacheError(DatasetError):
    """A cached data set is damaged or cannot be written; ``entry`` is the name of its folder in the cache."""

    def __init__(self, entry: str, reason: str) -> None:
        super().__init__(f"the cached data set {entry!r} {reason}")
        self.entry = entry
        self.reason = reason
