# SPDX-License-Identifier: Apache-2.0
"""Downloads missing files of public data sets, on request only, from the mirrors that torchvision knows."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from nas.catalogue import CATALOGUE
from nas.data.errors import DownloadError, MissingFilesError
from nas.data.sources.files import find_files

_CLASSES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
"""Names of the data sets in torchvision.datasets."""
_PATIENCE_SECONDS = 30.0


def download(dataset: str, data_root: Path | None) -> None:
    """Download the files of a data set into ``<data root>/<name>`` if some are missing; their MD5 is checked.

    Nothing is downloaded for data sets that torchvision does not know; ``prepare`` then says what is missing.

    Raises:
        DownloadError: the files could not be downloaded or written.
    """
    if dataset not in _CLASSES or data_root is None or not data_root.is_dir():
        return
    try:
        find_files(CATALOGUE[dataset], data_root)
    except MissingFilesError:
        _fetch(dataset, data_root / dataset)


def _fetch(dataset: str, folder: Path) -> None:
    try:
        import torchvision.datasets as published  # type: ignore[import-untyped] # brings torch with it: seconds
    except ImportError as error:
        raise DownloadError(dataset, "torchvision is not installed") from error
    source = getattr(published, _CLASSES[dataset])
    socket.setdefaulttimeout(_PATIENCE_SECONDS)
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as building:
            for name, md5 in source.resources:
                _fetch_file(dataset, [f"{mirror}{name}" for mirror in source.mirrors], building, name, md5)
            for name, _ in source.resources:
                os.replace(Path(building) / name, folder / name)
    except OSError as error:
        raise DownloadError(dataset, f"its folder cannot be written ({error.strerror})") from error
    finally:
        socket.setdefaulttimeout(None)


def _fetch_file(dataset: str, addresses: Sequence[str], folder: str, name: str, md5: str) -> None:
    """Download a file from the first address that has a copy with the right MD5."""
    from torchvision.datasets.utils import download_url  # type: ignore[import-untyped]

    faults = []
    for address in addresses:
        try:
            download_url(address, folder, name, md5)
            return
        except (OSError, RuntimeError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            faults.append(f"{urlsplit(address).hostname}: {' '.join(str(reason).split())[:80]}")
    raise DownloadError(dataset, f"no mirror has {name} ({'; '.join(faults)})")
