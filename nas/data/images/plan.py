# SPDX-License-Identifier: Apache-2.0
"""Plans a folder of images as a data set: lists, arranges and surveys it, and chooses the images.

A plan knows everything about the data set but its pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from nas.canonical_json import canonical_json
from nas.catalogue import DatasetInfo
from nas.config import ImageSettings, InputShape
from nas.data.decoding import Limits, Picture
from nas.data.errors import CorruptFileError, FolderError
from nas.data.folders import LAYOUTS, Arrangement, Found, Item, Listing, Parts, Tree
from nas.data.images.choice import Choice, choose, find_shape
from nas.data.images.patients import name_patients
from nas.data.images.reading import Guard, InProcess, Progress, Reader, Surveyed, Wanted
from nas.data.images.store import PixelStore, exclusive
from nas.data.images.survey import Surveyor

_READING_VERSION = 2
"""Increase it when images are read differently, when more is kept of them, or when a default of ``Wanted`` or
``Limits`` changes, for a fingerprint leaves defaults out. Then all images are decoded again."""


def _silent(_done: int, _total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions(ImageSettings):
    """How a folder is read: the settings of a search, and what the process that reads it adds.

    Attributes:
        index: name of a file in the folder that lists its images; empty if there is none.
        limits: largest file that is read.
        reader: reads and decodes the files.
        guard: its context manager limits the work on a user's pattern and sheet.
        is_verifying: whether files that seem unchanged are read again.
        on_progress: called with the numbers of files done and of all files.
    """

    index: str = ""
    limits: Limits = field(default_factory=Limits)
    reader: Reader = field(default_factory=InProcess)
    guard: Guard = nullcontext
    is_verifying: bool = False
    on_progress: Progress = _silent

    def wanted(self, shape: InputShape | None) -> Wanted:
        """Return what is read of each file: a picture of that shape, or the header only if it is None."""
        return Wanted(shape=shape, limits=self.limits, fit=self.fit or "pad", sample_bits=self.sample_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A folder as a data set, before its images are decoded.

    Attributes:
        info: the data set in the catalogue.
        options: how the folder is read.
        location: path of the folder from ``<data root>`` on.
        listing: everything in the folder.
        arrangement: which files are images, and of which class, part and group.
        surveyed: header and hash of each image of the arrangement.
        choice: which of the images are used.
        shape: shape that images are scaled into.
        store_path: file with the pictures that have been decoded already.
    """

    info: DatasetInfo
    options: ImageOptions
    location: str
    listing: Listing
    arrangement: Arrangement
    surveyed: Surveyed
    choice: Choice
    shape: InputShape
    store_path: Path

    def fingerprint(self) -> str:
        """Return the SHA-256 over how the folder is read, and content, class, part, group and path of each image."""
        wanted = self.options.wanted(self.shape)
        told = (_READING_VERSION, self.info.name, self.arrangement.class_names, wanted)
        digest = hashlib.sha256(canonical_json(told))
        for item in self.arrangement.items:
            content = self.surveyed[item.file.parts].sha256
            digest.update(canonical_json((item.part, item.label, item.group, item.file.parts, content)))
        return digest.hexdigest()

    def decode(self, tree: Tree, use: Callable[[Item, Picture], None]) -> dict[Parts, str]:
        """Call ``use`` with the picture of each chosen image, in order; decode those that are not in the store.

        Args:
            tree: the folder.
            use: called once per image that can be decoded.

        Returns:
            Why images cannot be decoded, by path.

        Raises:
            CorruptFileError: a file has changed since it was surveyed.
            CacheError: the disk refuses.
        """
        faults: dict[Parts, str] = {}
        with exclusive(self.store_path.parent):
            store = PixelStore(self.store_path, self.shape)
            try:
                self._fill(tree, store, faults)
                for item in self.choice.items:
                    if item.file.parts not in faults:
                        use(item, store.get(self.surveyed[item.file.parts].sha256))
            finally:
                store.close()
        return faults

    def _fill(self, tree: Tree, store: PixelStore, faults: dict[Parts, str]) -> None:
        missing = [item.file for item in self.choice.items if self.surveyed[item.file.parts].sha256 not in store]
        wanted = self.options.wanted(self.shape)
        for done, (file, reading) in enumerate(self.options.reader.read(tree, missing, wanted), 1):
            if reading.sha256 not in ("", self.surveyed[file.parts].sha256):
                raise CorruptFileError(self.location, "changed while it was read")
            if reading.picture is None:
                faults[file.parts] = reading.fault
            else:
                store.put(reading.sha256, reading.picture)
            self.options.on_progress(done, len(missing))
        store.flush()


def locate(info: DatasetInfo, path: str) -> tuple[str, str]:
    """Split a path of the user into the folder and the name of the file in it that lists the images, if it has one."""
    folder, _, name = path.rpartition("/")
    if info.name == "manifest" and name.casefold().endswith(".csv"):
        return folder or ("/" if path.startswith("/") else "."), name
    return path, ""


def make_plan(
    info: DatasetInfo, dataset: str, tree: Tree, cache_dir: Path, options: ImageOptions, *, accepts_all: bool = False
) -> Plan:
    """Plan a folder.

    Args:
        info: the data set in the catalogue.
        dataset: the data set as the user wrote it.
        tree: the folder.
        cache_dir: folder of the index.
        options: how the folder is read.
        accepts_all: whether a folder that no search can use is planned, too.

    Raises:
        DatasetError: the folder cannot be used as a data set.
    """
    listing = tree.walk()
    arrangement = _arrange(info, dataset, tree, listing, options)
    if arrangement.refusal is not None and not accepts_all:
        raise arrangement.refusal
    side = options.input_size or (info.shape.height if info.shape else 0)
    fixed = None if info.shape is None else InputShape(channels=info.shape.channels, height=side, width=side)
    surveyor = _make_surveyor(tree, cache_dir, options, fixed)
    surveyed = surveyor.survey(tree, [item.file for item in arrangement.items])
    arrangement = name_patients(arrangement, surveyed)
    choice = choose(arrangement, surveyed)
    return Plan(
        info=info,
        options=options,
        location=tree.location,
        listing=listing,
        arrangement=arrangement,
        surveyed=surveyed,
        choice=choice,
        shape=find_shape(choice, surveyed, fixed=fixed, input_size=options.input_size),
        store_path=surveyor.store_path,
    )


def _make_surveyor(tree: Tree, cache_dir: Path, options: ImageOptions, fixed: InputShape | None) -> Surveyor:
    """Return the surveyor of a folder; its pictures have a file of their own for each way of reading them."""
    wanted = options.wanted(None if options.is_verifying else fixed)
    told = (_READING_VERSION, tree.key, replace(wanted, shape=None), options.input_size)
    key = hashlib.sha256(canonical_json(told)).hexdigest()[:16]
    return Surveyor(
        cache_dir=cache_dir,
        wanted=wanted,
        store_path=cache_dir / f"decoded-{key}.pixels",
        reader=options.reader,
        is_verifying=options.is_verifying,
        on_progress=options.on_progress,
    )


def _arrange(info: DatasetInfo, dataset: str, tree: Tree, listing: Listing, options: ImageOptions) -> Arrangement:
    found = Found(
        dataset=dataset,
        listing=listing,
        class_map=options.class_map,
        group_regex=options.group_regex,
        index=options.index,
        read=tree.read,
    )
    try:
        with options.guard():
            return LAYOUTS[info.name](found)
    except TimeoutError as error:
        reason = "sorting its files takes too long; write a simpler --group-regex, or a smaller sheet"
        raise FolderError(dataset, reason) from error
