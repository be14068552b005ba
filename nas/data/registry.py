# SPDX-License-Identifier: Apache-2.0
"""Prepares a data set by its name: finds its source, builds its cache if necessary, and opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nas.catalogue import DatasetInfo, find_dataset, known_datasets
from nas.data.cache import CachedDataset, entry_of, open_or_build
from nas.data.errors import CacheError, EmptyFolderError, UnknownDatasetError
from nas.data.images import ImageOptions, ImageSource, IngestReport, locate, report_path_of
from nas.data.sources import Contents, DigitsSource, IdxSource, Source
from nas.folders import PatientSource

SOURCES: dict[str, Callable[[DatasetInfo, Path | None], Source]] = {
    "digits": lambda info, data_root: DigitsSource(),
    "mnist": IdxSource,
    "fashion-mnist": IdxSource,
}
"""The source of each data set of the catalogue that is not a folder of images."""
_AS_ALWAYS = ImageOptions()


def prepare(
    dataset: str,
    *,
    data_root: Path | None,
    cache_dir: Path,
    options: ImageOptions = _AS_ALWAYS,
) -> CachedDataset:
    """Find a data set and open its cache; build the cache first if it is missing or damaged.

    Safe to call from several processes at once: one builds, the others wait and open what it built.

    Args:
        dataset: a name of ``nas.catalogue.CATALOGUE``, followed by a colon and a path if the data set takes one.
        data_root: folder that holds the source files in ``<data root>/<name>``; None if the server has none.
        cache_dir: folder of the cache; made if it is missing.
        options: how a folder is read; for other data sets only the input size counts.

    Raises:
        UnknownDatasetError: there is no such data set.
        MissingDataRootError, MissingFilesError, MissingFolderError, PathOutsideError: the source is missing.
        CorruptFileError, FolderError, UnreadableImagesError: the source cannot be used.
        CacheError: the cache cannot be written.
    """
    found = find_dataset(dataset)
    if found is None:
        raise UnknownDatasetError(dataset, known_datasets())
    info, path = found
    if info.is_folder:
        folder, index = locate(info, path or info.name)
        source = ImageSource(info, dataset, folder, data_root, cache_dir, replace(options, index=index))
        return _prepare_images(source)
    assert info.shape is not None  # noqa: S101 - as in the catalogue
    side = options.input_size
    shape = replace(info.shape, height=side, width=side) if side else info.shape
    idx_or_digits = SOURCES[dataset](info, data_root)
    fingerprint = idx_or_digits.fingerprint()
    entry = entry_of(cache_dir, info.name, shape, fingerprint)
    return open_or_build(entry, info.name, shape, idx_or_digits, fingerprint)


@dataclass(frozen=True, slots=True)
class _ReportingSource:
    """A folder of images; its report is written before its cache, so no cache exists without a report."""

    images: ImageSource
    report_path: Path
    shown: str

    def fingerprint(self) -> str:
        """Return the fingerprint of the folder."""
        return self.images.fingerprint()

    def read(self) -> Contents:
        """Read the folder and write its report.

        Raises:
            EmptyFolderError, UnreadableImagesError: no image can be used.
        """
        contents = self.images.read()
        report = self.images.report
        report.save(self.report_path)
        report.require_readable(len(report.unreadable), self.shown)
        if not len(contents.labels_N):
            raise EmptyFolderError(self.images.dataset, f"none of its images can be used; {self.shown} says why")
        return contents


def _prepare_images(images: ImageSource) -> CachedDataset:
    """Open or build the cache of a folder, and bring its report up to date."""
    fingerprint = images.fingerprint()
    name, shape = images.info.name, images.shape
    entry = entry_of(images.cache_dir, name, shape, fingerprint)
    report_path = report_path_of(entry)
    shown = f"{entry.parent.name}/{report_path.name} in the server's state folder"

    def has_report() -> bool:
        return IngestReport.load(report_path) is not None

    source = _ReportingSource(images, report_path, shown)
    cached = open_or_build(entry, name, shape, source, fingerprint, has_report)
    images.forget_decoded()
    report = IngestReport.load(report_path)
    if report is None:
        raise CacheError(entry.name, "has lost its report; start again")
    renewed = replace(images.renew_report(report), division=report.division)
    if renewed != report:
        renewed.save(report_path)
        report = renewed
    report.require_readable(images.options.max_bad_files, shown)
    patients_from = PatientSource.NONE if cached.groups_N is None else images.patients_from
    return replace(cached, name=images.dataset, patients_from=patients_from, warnings=report.warnings(shown))
