# SPDX-License-Identifier: Apache-2.0
"""Whose image it is, where only the images themselves say so: PatientID in the headers of DICOM files."""

from __future__ import annotations

from dataclasses import replace

from nas.data.folders import Arrangement
from nas.data.images.reading import Surveyed
from nas.folders import PatientSource


def name_patients(arrangement: Arrangement, surveyed: Surveyed) -> Arrangement:
    """Group images by the patient of their headers if nothing else groups any of them and no pattern was given.

    A group is called after the first image of its patient, so that neither an id nor a hash of one goes further. Images
    without a patient stay without a group.

    Args:
        arrangement: what the layout made of the folder.
        surveyed: its images.
    """
    if any(item.group is not None for item in arrangement.items):
        return arrangement
    headers = {item.file.parts: surveyed[item.file.parts].header for item in arrangement.items}
    patients = {parts: header.patient for parts, header in sorted(headers.items()) if header and header.patient}
    if arrangement.patients_from is PatientSource.PATTERN or not patients:
        return replace(arrangement, patients_from=PatientSource.NONE)
    first: dict[str, str] = {}
    for parts, patient in patients.items():
        first.setdefault(patient, f"patient of {'/'.join(parts)}")
    items = [
        replace(item, group=first[patients[item.file.parts]]) if item.file.parts in patients else item
        for item in arrangement.items
    ]
    return replace(arrangement, items=tuple(items), is_grouped=True, patients_from=PatientSource.DICOM_HEADER)
