# SPDX-License-Identifier: Apache-2.0
"""The source of a data set that is a folder of image files.

It plans the folder and decodes its images into a temporary file, so memory holds only a few images at a time.

Shapes: N images of the whole set or n of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from nas.catalogue import DatasetInfo
from nas.config import InputShape
from nas.data.decoding import Picture, is_dark
from nas.data.folders import Item, Part, Parts, number_groups, open_tree, start_of
from nas.data.images.plan import ImageOptions, Plan, make_plan
from nas.data.images.report import IngestReport, UnreadableImage
from nas.data.sources import Contents
from nas.folders import PatientSource

_BATCH_BYTES = 16 * 2**20
"""Most bytes of images in a batch; one image at least."""


@dataclass(slots=True)
class ImageSource:
    """One folder of images.

    Attributes:
        info: the data set in the catalogue.
        dataset: the data set as the user wrote it.
        path: path of the folder, relative to the data root or absolute inside it.
        data_root: None if the server has none.
        cache_dir: folder for the index and temporary files.
        options: how the folder is read.
    """

    info: DatasetInfo
    dataset: str
    path: str
    data_root: Path | None
    cache_dir: Path
    options: ImageOptions
    _plan: Plan | None = field(default=None, init=False)
    _report: IngestReport | None = field(default=None, init=False)

    @property
    def shape(self) -> InputShape:
        """Shape of the prepared images, which follows from the options or from the images."""
        return self._planned().shape

    @property
    def report(self) -> IngestReport:
        """The report on the folder; call ``read`` first."""
        assert self._report is not None  # noqa: S101 - asked after read only
        return self._report

    def fingerprint(self) -> str:
        """Plan the folder and return the fingerprint of the plan."""
        with open_tree(self.dataset, self.path, self.data_root) as tree:
            self._plan = make_plan(self.info, self.dataset, tree, self.cache_dir, self.options)
        return self._plan.fingerprint()

    def read(self) -> Contents:
        """Decode all images and write ``report``, which names those that cannot be decoded.

        Raises:
            DatasetError: the folder is missing, or a file has changed since ``fingerprint``.
        """
        plan = self._planned()
        used: list[Item] = []
        dark: list[int] = []
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryFile(dir=self.cache_dir))  # has no name: gone with us

            def keep(item: Item, picture: Picture) -> None:
                scratch.write(picture.pixels_CHW.data)
                used.append(item)
                if is_dark(picture.bits, plan.options.sample_bits):
                    dark.append(picture.bits)

            tree = stack.enter_context(open_tree(self.dataset, self.path, self.data_root))
            faults = {**plan.choice.faults, **plan.decode(tree, keep)}
            scratch.flush()
            images_NCHW = _map(scratch, plan.shape)
        report = self._make_report(plan, faults, used)
        self._report = replace(report, dark=len(dark), dark_bits=max(dark, default=0))
        return Contents(
            labels_N=np.array([item.label for item in used], np.int64),
            class_names=plan.arrangement.class_names,
            validation_start=start_of(Part.VALIDATION, used),
            test_start=start_of(Part.TEST, used),
            validation_percent=self.info.validation_percent,
            groups_N=number_groups(used),
            batches_nCHW=_in_batches(images_NCHW),
        )

    @property
    def patients_from(self) -> PatientSource:
        """Where the patients of the images come from."""
        return self._planned().arrangement.patients_from

    def renew_report(self, written: IngestReport) -> IngestReport:
        """Return an earlier report, brought up to date with the folder as it is now.

        Files that are left out are not part of the fingerprint, so they may have changed while the images are the same.

        Args:
            written: the report of the time when the images were decoded.
        """
        plan = self._planned()
        known = {image.file: image.reason for image in written.unreadable}
        faults = {
            item.file.parts: known[name] for item in plan.choice.items if (name := _join(item.file.parts)) in known
        }
        used = [item for item in plan.choice.items if item.file.parts not in faults]
        report = self._make_report(plan, {**plan.choice.faults, **faults}, used)
        return replace(report, dark=written.dark, dark_bits=written.dark_bits)

    def forget_decoded(self) -> None:
        """Delete the decoded pictures that an interrupted ``read`` could reuse; call it when the cache is built."""
        self._planned().store_path.unlink(missing_ok=True)

    def _planned(self) -> Plan:
        if self._plan is None:
            self.fingerprint()
        assert self._plan is not None  # noqa: S101 - fingerprint has just set it
        return self._plan

    def _make_report(self, plan: Plan, faults: dict[Parts, str], used: Sequence[Item]) -> IngestReport:
        names = plan.arrangement.class_names
        per_class = np.bincount([item.label for item in used], minlength=len(names)).tolist() if used else []
        unknown = sum(item.group is None for item in used) if plan.arrangement.is_grouped else 0
        groups = {item.group for item in used} - {None}
        return IngestReport(
            dataset=self.dataset,
            location=plan.location,
            images=len(plan.arrangement.items),
            images_per_class=dict(zip(names, per_class, strict=False)),
            patients=len(groups) or None,
            unknown_patients=unknown,
            unreadable=tuple(
                UnreadableImage(
                    file=_join(item.file.parts),
                    place=f"image {item.number} of class {names[item.label]!r}",
                    reason=faults[item.file.parts],
                )
                for item in plan.arrangement.items
                if item.file.parts in faults
            ),
            copies=tuple(_join(item.file.parts) for item in plan.choice.copies),
            conflicts=tuple(_join(item.file.parts) for item in plan.choice.conflicts),
            left_out_folders=tuple(map(_join, plan.arrangement.left_out_folders)),
            left_out_files=tuple(map(_join, plan.arrangement.left_out_files)),
            passed_over=plan.listing.passed_over,
            contradictions=tuple(f"{_join(parts)}: {said}" for parts, said in plan.arrangement.contradictions),
            unlisted=plan.arrangement.unlisted,
            sheet_fault=plan.arrangement.index_fault,
            sample_bits=plan.options.sample_bits or 16,
        )


def _join(parts: Parts) -> str:
    return "/".join(parts)


def _map(scratch: IO[bytes], shape: InputShape) -> npt.NDArray[np.uint8]:
    """Map the file of decoded images as (N, C, H, W); the array stays valid when the file is closed."""
    images = os.fstat(scratch.fileno()).st_size // math.prod((shape.channels, shape.height, shape.width))
    shape_NCHW = (images, shape.channels, shape.height, shape.width)
    return np.memmap(scratch, np.uint8, mode="r", shape=shape_NCHW) if images else np.empty(shape_NCHW, np.uint8)


def _in_batches(images_NCHW: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    step = max(1, _BATCH_BYTES // math.prod(images_NCHW.shape[1:]))
    for start in range(0, len(images_NCHW), step):
        yield images_NCHW[start : start + step]
