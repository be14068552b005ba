# SPDX-License-Identifier: Apache-2.0
"""Checks a folder as a data set: finds what a search would refuse or warn of, and more that it would not notice.

No search is started. Decoded images stay in the cache folder, so a search of the same folder does not decode them
again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.catalogue import CATALOGUE
from nas.data.cache import CachedDataset
from nas.data.checking.files import Names, about_files
from nas.data.checking.findings import ClassCounts, Finding, Inspection, Kind, SizeCount, found
from nas.data.checking.idx import check_idx
from nas.data.checking.suspicions import Impressions
from nas.data.decoding import Picture
from nas.data.division import Split, split
from nas.data.errors import DatasetError, FolderError, LeakError, OneClassError, SplitError, UnknownDatasetError
from nas.data.folders import Item, Part, Tree, number_groups, open_tree, start_of
from nas.data.images import ImageOptions, Plan, locate, make_plan

_MOST_SIZES = 12
"""Formats and sizes that are listed per class."""


def check(
    kind: str, path: str, *, data_root: Path | None, cache_dir: Path, options: ImageOptions, seed: int, most_names: int
) -> Inspection:
    """Check a folder.

    Args:
        kind: name in the catalogue of the data set that the folder is checked as.
        path: path of the folder, relative to the data root or absolute inside it.
        data_root: None if the server has none.
        cache_dir: folder for the index and decoded images.
        options: how a search would read the folder.
        seed: seed of the search.
        most_names: most files or patients that a finding names.

    Raises:
        UnknownDatasetError: there is no such data set, or it has no files.
        MissingDataRootError, MissingFolderError, PathOutsideError: there is no such folder.
        CacheError: the cache cannot be written.
    """
    info = CATALOGUE.get(kind)
    if info is None or not (info.is_folder or info.files):
        raise UnknownDatasetError(kind, tuple(name for name, one in CATALOGUE.items() if one.is_folder or one.files))
    dataset = f"{kind}:{path}" if info.is_folder else kind
    folder, index = locate(info, path)
    with open_tree(dataset, folder, data_root) as tree:
        if not info.is_folder:
            files = len(tree.walk().files)
            return check_idx(info, data_root, path, location=tree.location, files=files, most_names=most_names)
        try:
            plan = make_plan(info, dataset, tree, cache_dir, replace(options, index=index), accepts_all=True)
        except FolderError as error:
            return _unusable(dataset, tree, error)
        return _Check(dataset, plan, most_names).inspect(tree, seed)


class _Check:
    """The check of one folder.

    Args:
        dataset: the data set, as ``--dataset`` takes it.
        plan: plan of the folder.
        most_names: most files or patients that a finding names.
    """

    def __init__(self, dataset: str, plan: Plan, most_names: int) -> None:
        self._dataset = dataset
        self._plan = plan
        self._names = Names(most_names)
        self._used: list[Item] = []

    def inspect(self, tree: Tree, seed: int) -> Inspection:
        """Decode all images and return the result of the check."""
        plan, impressions = self._plan, Impressions()

        def look(item: Item, picture: Picture) -> None:
            impressions.add(item, picture)
            self._used.append(item)

        faults = {**plan.choice.faults, **plan.decode(tree, look)}
        parts, about_split = self._divide(seed)
        patients = {item.group for item in self._used} - {None}
        return Inspection(
            dataset=self._dataset,
            location=plan.location,
            files=len(plan.listing.files),
            images=len(plan.arrangement.items),
            patients=len(patients) or None,
            shape=str(plan.shape),
            classes=self._classes(parts),
            sizes=self._sizes(),
            patients_from=plan.arrangement.patients_from,
            findings=(*about_split, *about_files(tree, plan, faults, self._used, impressions, self._names)),
        )

    def _divide(self, seed: int) -> tuple[Split | None, list[Finding]]:
        """Divide the images as a search would; return the parts, if possible, and the findings."""
        refusal, findings = self._plan.arrangement.refusal, self._leaks()
        if refusal is not None:
            kind = Kind.ONE_CLASS if isinstance(refusal, OneClassError) else Kind.UNUSABLE
            return None, [Finding(kind=kind, sentence=str(refusal)), *findings]
        try:
            return split(self._as_dataset(), seed=seed), findings
        except LeakError:
            return None, findings
        except SplitError as error:
            return None, [Finding(kind=Kind.INDIVISIBLE, sentence=str(error)), *findings]

    def _as_dataset(self) -> CachedDataset:
        """Return the images as a data set for ``split``, without their pixels."""
        plan, used = self._plan, self._used
        shape = plan.shape
        return CachedDataset(
            name=self._dataset,
            images_NCHW=np.broadcast_to(np.uint8(0), (len(used), shape.channels, shape.height, shape.width)),
            labels_N=np.array([item.label for item in used], np.int64),
            class_names=plan.arrangement.class_names,
            shape=shape,
            test_start=start_of(Part.TEST, used),
            fingerprint="",
            path=Path(),
            validation_start=start_of(Part.VALIDATION, used),
            validation_percent=plan.info.validation_percent,
            groups_N=number_groups(used),
        )

    def _leaks(self) -> list[Finding]:
        """Return a finding about patients who have images in several of the owner's parts, if there are any."""
        parts: dict[str, set[Part]] = {}
        for item in self._used:
            if item.group is not None:
                parts.setdefault(item.group, set()).add(item.part)
        leaks = [
            f"{group}: in {' and '.join(part.name.casefold() for part in sorted(its))}"
            for group, its in sorted(parts.items())
            if len(its) > 1
        ]
        sentence = "patients with images in more than one part, so the accuracy would flatter"
        return [found(Kind.LEAK, sentence, leaks, self._names.most)] if leaks else []

    def _classes(self, parts: Split | None) -> tuple[ClassCounts, ...]:
        names, used = self._plan.arrangement.class_names, self._used
        labels_N = np.array([item.label for item in used], np.int64)
        divided = ((),) * 3 if parts is None else (parts.train, parts.validation, parts.test)
        per_part = [np.bincount(labels_N[np.array(part, np.int64)], minlength=len(names)) for part in divided]
        has_patients = any(item.group is not None for item in used)
        return tuple(
            ClassCounts(
                name=name,
                images=sum(item.label == label for item in used),
                patients=len({item.group for item in used if item.label == label} - {None}) if has_patients else None,
                train=int(per_part[0][label]),
                validation=int(per_part[1][label]),
                test=int(per_part[2][label]),
            )
            for label, name in enumerate(names)
        )

    def _sizes(self) -> tuple[SizeCount, ...]:
        """Count formats and sizes by class, the most frequent first."""
        rows = []
        for label, name in enumerate(self._plan.arrangement.class_names):
            headers = [self._plan.surveyed[item.file.parts].header for item in self._used if item.label == label]
            counts = Counter((header.kind, header.width, header.height) for header in headers if header is not None)
            listed = counts.most_common(_MOST_SIZES)
            rows += [
                SizeCount(class_name=name, format=kind, width=width, height=height, images=count)
                for (kind, width, height), count in listed
            ]
            rest = counts.total() - sum(count for _, count in listed)
            if rest:
                rows.append(SizeCount(class_name=name, format="", width=0, height=0, images=rest))
        return tuple(rows)


def _unusable(dataset: str, tree: Tree, error: DatasetError) -> Inspection:
    """Return the result for a folder that cannot be arranged."""
    try:
        files = len(tree.walk().files)
    except FolderError:
        files = 0
    return Inspection(
        dataset=dataset,
        location=tree.location,
        files=files,
        images=0,
        patients=None,
        shape="",
        classes=(),
        sizes=(),
        findings=(Finding(kind=Kind.UNUSABLE, sentence=str(error)),),
    )
