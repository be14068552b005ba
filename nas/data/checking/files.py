# SPDX-License-Identifier: Apache-2.0
"""Findings about the files of a folder: unreadable, left out, contradictory, duplicate, or predicting their class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.data.checking.findings import Finding, Kind, found
from nas.data.checking.shortcuts import guess_labels
from nas.data.checking.suspicions import MAGIC_BYTES, Impressions, kind_by_magic, wrong_endings
from nas.data.decoding import Header
from nas.data.folders import FileError, Item, Parts, Tree, is_image_name, is_no_mammogram, read_name
from nas.data.images import Plan, say_dark


@dataclass(frozen=True, slots=True)
class Names:
    """Limits and writes the names in findings.

    Attributes:
        most: most names in a finding.
    """

    most: int

    def of(self, parts: Parts) -> str:
        """Return the path of a file below the folder."""
        return "/".join(parts)


_FEATURES: tuple[tuple[str, Callable[[Header], Hashable]], ...] = (
    ("format", lambda header: (header.kind, header.is_grey)),
    ("size", lambda header: (header.width, header.height)),
    ("aspect", lambda header: round(header.width / header.height, 2)),
)
_STILL_SEEN = {
    "format": "decoding hides the format itself, not the traces that compression leaves",
    "size": "resizing hides the size itself, not how sharp an image is afterwards",
    "year": "the images of a year may come from one machine or one reader",
    "view": "the net sees the view",
    "side": "the net sees the side",
    "aspect": "padding keeps the aspect, so a net sees it; --fit crop hides some of it",
}
"""What a net may still learn from each feature after images are scaled."""


def about_files(
    tree: Tree, plan: Plan, faults: Mapping[Parts, str], used: Sequence[Item], impressions: Impressions, names: Names
) -> Iterator[Finding]:
    """Yield the findings, one per kind that has cases.

    Args:
        tree: the folder.
        plan: plan of the folder.
        faults: why images cannot be decoded, by path.
        used: images that are used.
        impressions: what was seen in their pixels.
        names: writes the names in findings.
    """
    for kind, sentence, cases in (
        (Kind.UNREADABLE, _UNREADABLE, [f"{names.of(parts)}: {reason}" for parts, reason in sorted(faults.items())]),
        *_about_sheet(plan, names),
        *_about_copies(plan, names),
        *_about_pictures(impressions, names),
        *_about_the_dark(impressions, plan.options.sample_bits, names),
        *_about_names(tree, plan, names),
        *_about_patients(plan, used),
        *_about_left_out(plan, names),
    ):
        if cases:
            yield found(kind, sentence, cases, names.most)
    yield from _about_shortcuts(plan, used)


_UNREADABLE = "images that cannot be used; a search leaves out as many as --max-bad-files allows"
_UNREADABLE_SHEET = "sheets of labels that cannot be read; a search goes by the folders alone"
_Feature = tuple[str, Sequence[Hashable]]
_Cases = tuple[Kind, str, list[str]]


def _about_sheet(plan: Plan, names: Names) -> list[_Cases]:
    arrangement = plan.arrangement
    contradictions = [f"{names.of(parts)}: {said}" for parts, said in arrangement.contradictions]
    return [
        (Kind.UNREADABLE, _UNREADABLE_SHEET, [arrangement.index_fault] if arrangement.index_fault else []),
        (Kind.LABEL_CONFLICT, "images with contradicting labels; a search uses none of them", contradictions),
        (Kind.NOT_LISTED, "images without a row in the sheet, or rows without an image", list(arrangement.unlisted)),
    ]


def _about_copies(plan: Plan, names: Names) -> list[_Cases]:
    by_content: dict[str, list[Item]] = defaultdict(list)
    for item in plan.arrangement.items:
        if item.file.parts not in plan.choice.faults:
            by_content[plan.surveyed[item.file.parts].sha256].append(item)
    same = [sorted(items, key=lambda item: item.file.parts) for items in by_content.values() if len(items) > 1]
    classes = plan.arrangement.class_names
    conflicts = [
        " = ".join(f"{names.of(item.file.parts)} ({classes[item.label]})" for item in items)
        for items in same
        if len({item.label for item in items}) > 1
    ]
    leaks = [
        " = ".join(names.of(item.file.parts) for item in items) for items in same if len({i.part for i in items}) > 1
    ]
    copies = [
        " = ".join(names.of(item.file.parts) for item in items) for items in same if len({i.label for i in items}) == 1
    ]
    return [
        (Kind.LEAK, "files with the same content in more than one part; a search uses the one in the latest", leaks),
        (Kind.TWO_CLASSES, "files with the same content in more than one class; a search uses none of them", conflicts),
        (Kind.DUPLICATE, "files with the same content in one class; a search uses one of each", copies),
    ]


def _about_pictures(impressions: Impressions, names: Names) -> list[_Cases]:
    pairs = [
        f"{names.of(one.file.parts)} ~ {names.of(other.file.parts)}{_difference(one, other)}"
        for one, other in impressions.look_alikes()
    ]
    odd = [f"{names.of(item.file.parts)}: {reason}" for item, reason in impressions.odd()]
    return [
        (
            Kind.LOOK_ALIKE,
            "pairs of files with the same picture in other bytes; a search takes them for two images, and they may "
            "end up in different parts unless they are of one patient",
            pairs,
        ),
        (Kind.MASK_LIKE, "images unlike most of the set; a search uses them", odd),
    ]


def _about_the_dark(impressions: Impressions, sample_bits: int, names: Names) -> list[_Cases]:
    dark = impressions.dark(sample_bits)
    sentence = f"images {say_dark(max((bits for _, bits in dark), default=0), sample_bits or 16)}"
    return [(Kind.DARK, sentence, [f"{names.of(item.file.parts)}: uses {bits} bits" for item, bits in dark])]


def _difference(one: Item, other: Item) -> str:
    words = ["in two classes"] if one.label != other.label else []
    if one.part is not other.part:
        words.append("in two parts")
    if one.group is not None and other.group is not None and one.group != other.group:
        words.append("of two patients")
    return f" ({', '.join(words)})" if words else ""


def _about_names(tree: Tree, plan: Plan, names: Names) -> list[_Cases]:
    cases = [f"{names.of(item.file.parts)}: {reason}" for item, reason in wrong_endings(_readable(plan), plan.surveyed)]
    left_out = set(plan.arrangement.left_out_files)
    for file in plan.listing.files:
        if file.parts in left_out and not is_image_name(file.parts[-1]):
            try:
                kind = kind_by_magic(tree.read_beginning(file, MAGIC_BYTES))
            except FileError:
                continue
            if kind is not None:
                cases.append(f"{names.of(file.parts)}: is {kind} by its content, and is left out for its name")
    return [(Kind.WRONG_EXTENSION, "files whose name says another format than their content, which counts", cases)]


def _about_patients(plan: Plan, used: Sequence[Item]) -> list[_Cases]:
    if not plan.arrangement.is_grouped:
        return []
    classes: dict[str, set[int]] = defaultdict(set)
    for item in used:
        if item.group is not None:
            classes[item.group].add(item.label)
    in_two = [
        f"{group}: {' and '.join(plan.arrangement.class_names[label] for label in sorted(its))}"
        for group, its in sorted(classes.items())
        if len(its) > 1
    ]
    unknown = ["/".join(item.file.parts) for item in used if item.group is None]
    return [
        (
            Kind.PATIENT_IN_TWO_CLASSES,
            "patients with images in more than one class; they count for the rarest of their classes",
            in_two,
        ),
        (
            Kind.UNKNOWN_PATIENT,
            "images whose patient is not known; each is taken for a patient of its own, and if it is not, the accuracy "
            "flatters",
            unknown,
        ),
    ]


def _about_left_out(plan: Plan, names: Names) -> list[_Cases]:
    arrangement = plan.arrangement
    folders = [(*parts, "") for parts in arrangement.left_out_folders]
    inside = tuple(arrangement.left_out_folders)
    files = [
        parts for parts in arrangement.left_out_files if not any(parts[: len(folder)] == folder for folder in inside)
    ]
    everything = sorted([*folders, *files])
    masks = [parts for parts in everything if arrangement.is_grouped and is_no_mammogram(parts)]
    others = [parts for parts in everything if parts not in set(masks)]
    links = [f"({plan.listing.passed_over} links or special files)"] if plan.listing.passed_over else []
    return [
        (
            Kind.NO_MAMMOGRAM,
            "left out: masks, segmentations, reports or ultrasound by their name or place",
            [names.of(parts) for parts in masks],
        ),
        (Kind.LEFT_OUT, "left out: no part of the data set", [*(names.of(parts) for parts in others), *links]),
    ]


def _about_shortcuts(plan: Plan, used: Sequence[Item]) -> Iterator[Finding]:
    headers = [header for item in used if (header := plan.surveyed[item.file.parts].header) is not None]
    labels = [item.label for item in used]
    groups = [item.group if item.group is not None else item.file.parts for item in used]
    features: list[_Feature] = [(name, [feature(header) for header in headers]) for name, feature in _FEATURES]
    if plan.arrangement.is_grouped:
        names = [read_name(item.file.parts) for item in used]
        features += [(name, [one[place] for one in names]) for place, name in enumerate(("year", "view", "side"))]
    for name, values in features:
        guess = guess_labels(values, labels, groups, len(plan.arrangement.class_names))
        if guess is not None:
            score, chance = guess
            sentence = (
                f"the {name} of an image alone tells its class with a balanced accuracy of {score:.0%} (chance: "
                f"{chance:.0%}), so a net could learn where an image comes from instead of what it shows; "
                f"{_STILL_SEEN[name]}"
            )
            yield Finding(kind=Kind.SHORTCUT, sentence=sentence)


def _readable(plan: Plan) -> list[Item]:
    return [item for item in plan.arrangement.items if item.file.parts not in plan.choice.faults]
