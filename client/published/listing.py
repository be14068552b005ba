# SPDX-License-Identifier: Apache-2.0
"""The folder that somebody has of a published set, and the list that becomes of it; nothing in it is written."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from client.errors import ClientError, Exit

_IMAGES = (".pgm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")
_COLUMNS = ("path", "label", "group", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One image.

    Attributes:
        path: below the folder.
        label: what the publisher says of it.
        group: its patient.
        split: the publisher's part; empty if there is none.
    """

    path: PurePosixPath
    label: str
    group: str
    split: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published set as it lies there.

    Attributes:
        name: of the set.
        files: below the folder, in order; what begins with a dot is passed over, and no link is followed.
    """

    name: str
    folder: Path
    files: tuple[PurePosixPath, ...] = field(repr=False)

    @classmethod
    def open(cls, name: str, folder: Path) -> Release:
        """List a folder.

        Raises:
            ClientError: it is not there, or cannot be listed.
        """
        if not folder.is_dir():
            raise ClientError(f"There is no folder {str(folder)!r}.", Exit.USAGE)

        def refuse(error: OSError) -> None:
            raise ClientError(f"{error.filename!r} cannot be listed: {error.strerror}.", Exit.USAGE)

        found = []
        for above, folders, names in os.walk(folder, onerror=refuse):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            inside = PurePosixPath(Path(above).relative_to(folder).as_posix())
            found += [inside / one for one in names if not one.startswith(".") and not (Path(above) / one).is_symlink()]
        return cls(name=name, folder=folder, files=tuple(sorted(found)))

    def images(self) -> Iterator[PurePosixPath]:
        """Files whose names end as those of images do."""
        return (file for file in self.files if file.suffix.lower() in _IMAGES)

    def find_sheet(self, name: str) -> PurePosixPath | None:
        """The file of that name, in any case and at any depth; None if there is none.

        Raises:
            ClientError: there are several.
        """
        found = [file for file in self.files if file.name.lower() == name.lower()]
        if len(found) > 1:
            raise self.fault(f"{found[0]} and {found[1]} are both called {name}; keep one of them")
        return found[0] if found else None

    def read(self, sheet: PurePosixPath) -> str:
        """Read a sheet as text.

        Raises:
            ClientError: it cannot be read.
        """
        try:
            content = (self.folder / sheet).read_bytes()
        except OSError as error:
            raise self.fault(f"{sheet} cannot be read: {error.strerror}") from error
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")  # sheets of some releases were saved by old programs

    def rows(self, sheet: PurePosixPath, needed: Sequence[str], delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield line and cells of each row that holds anything; headings in lower case, with blanks for underscores.

        Raises:
            ClientError: a needed column is missing.
        """
        rows = csv.reader(io.StringIO(self.read(sheet), newline=""), delimiter=delimiter)
        try:
            headings = [heading.strip().lower().replace("_", " ") for heading in next(rows, [])]
            missing = [name for name in needed if name not in headings]
            if missing:
                raise self.fault(f"{sheet} has no column {missing[0]!r}")
            for cells in rows:
                if any(cell.strip() for cell in cells):
                    padded = [*(cell.strip() for cell in cells), *[""] * len(headings)]
                    yield rows.line_num, dict(zip(headings, padded, strict=False))
        except csv.Error as error:
            raise self.fault(f"line {rows.line_num} of {sheet} cannot be read: {error}") from error

    def fault(self, reason: str) -> ClientError:
        """Say why this folder is no copy of the set."""
        return ClientError(f"{str(self.folder)!r} cannot be read as {self.name}: {reason}.", Exit.USAGE)


def require_found(release: Release, missing: Sequence[str], listed: int) -> None:
    """Refuse a list whose images are not there.

    Raises:
        ClientError: names the first of them.
    """
    if missing:
        raise release.fault(f"{len(missing)} of the {listed} images that its sheets list are not there ({missing[0]})")


def to_csv(images: Sequence[Listed]) -> str:
    """Write the list; the column of parts is left out if the publisher made none.

    Raises:
        ClientError: the name of a file cannot be written.
    """
    columns = _COLUMNS if any(image.split for image in images) else _COLUMNS[:-1]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for image in sorted(images, key=lambda image: image.path):
        path = str(image.path)
        if not path.isprintable():
            raise ClientError(f"The name of {path!r} cannot be written into a list; rename it.", Exit.USAGE)
        writer.writerow((path, image.label, image.group, image.split)[: len(columns)])
    return text.getvalue().removesuffix("\n")
