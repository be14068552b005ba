# SPDX-License-Identifier: Apache-2.0
"""The answer of ``datasets check`` as text: what is there, then faults, warnings and notes, then the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby

from client.phrases import patient_source
from client.text import count, table, word
from nas.api.v1 import search_service_pb2 as pb
from nas.text import escape

_COLUMNS = 80
_SIZES_A_CLASS = 4
_LEVELS = (pb.Finding.LEVEL_FAULT, pb.Finding.LEVEL_WARNING, pb.Finding.LEVEL_NOTE)


def inspection_view(found: pb.CheckDatasetResponse) -> str:
    """Print everything that a check found, in lines of 80 columns unless a file's name is longer."""
    blocks = [_wrap(_summary(found))]
    if found.classes:
        blocks.append(_classes(found))
    if found.sizes:
        blocks.append(_sizes(found))
    findings = [finding for level in _LEVELS for finding in found.findings if finding.level == level]
    blocks += ["\n".join(_finding(finding)) for finding in findings]
    blocks.append(_wrap(_verdict(found)))
    return "\n\n".join(blocks)


def _summary(found: pb.CheckDatasetResponse) -> str:
    there = [count(found.file_count, "file"), count(found.image_count, "image") + " of the data set"]
    if found.HasField("patient_count"):
        there.append(count(found.patient_count, "patient"))
    size = f"; a search sees them as {found.shape}" if found.shape else ""
    divided = f" It is divided by {by}." if (by := patient_source(found.patient_source)) else ""
    return f"{escape(found.dataset)} in {escape(found.location)}: {', '.join(there)}{size}.{divided}"


def _classes(found: pb.CheckDatasetResponse) -> str:
    has_patients = found.HasField("patient_count")
    headings = ["CLASS", "IMAGES", *(["PATIENTS"] if has_patients else []), "TRAIN", "VALIDATION", "TEST"]
    rows = [
        [
            one.name,
            str(one.image_count),
            *([str(one.patient_count)] if has_patients else []),
            *map(str, (one.train_count, one.validation_count, one.test_count)),
        ]
        for one in found.classes
    ]
    return table(headings, rows, right=frozenset(headings[1:]))


def _sizes(found: pb.CheckDatasetResponse) -> str:
    """The commonest sizes of each class; JSON has more of them."""
    rows = []
    for name, sizes in groupby(found.sizes, key=lambda one: one.class_name):
        every = list(sizes)
        shown = every if len(every) <= _SIZES_A_CLASS else every[: _SIZES_A_CLASS - 1]
        rows += [
            (name, one.format or "others", f"{one.width}x{one.height}" if one.width else "", str(one.image_count))
            for one in shown
        ]
        if len(shown) < len(every):
            rows.append((name, "others", "", str(sum(one.image_count for one in every[len(shown) :]))))
    return table(("CLASS", "FORMAT", "PIXELS", "IMAGES"), rows, right=frozenset({"PIXELS", "IMAGES"}))


def _finding(finding: pb.Finding) -> Iterator[str]:
    number = f" ({finding.count})" if finding.count else ""
    level, kind = word(pb.Finding.Level, finding.level).upper(), word(pb.Finding.Kind, finding.kind)
    yield _wrap(f"{level} {kind}{number}: {escape(finding.sentence)}", "  ")
    yield from (f"  {escape(name)}" for name in finding.names)
    rest = finding.count - len(finding.names)
    if finding.names and rest > 0:
        yield f"  ... and {rest} more; --names {finding.count} lists all"


def _verdict(found: pb.CheckDatasetResponse) -> str:
    numbers = [sum(finding.level == level for finding in found.findings) for level in _LEVELS]
    faults, warnings = count(numbers[0], "kind") + " of faults", count(numbers[1], "kind") + " of warnings"
    if found.is_ok:
        return f"Verdict: ok. No faults, {warnings}."
    return f"Verdict: faults. {faults}, {warnings}; a search would be refused, or its numbers could not be trusted."


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
