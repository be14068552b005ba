# SPDX-License-Identifier: Apache-2.0
"""Groups images by the PatientID of their DICOM headers, if nothing else says which patient they show."""

from __future__ import annotations

from dataclasses import replace

from nas.data.folders import Arrangement
from nas.data.images.reading import Surveyed
from nas.folders import PatientSource


def name_patients(arrangement: Arrangement, surveyed: Surveyed) -> Arrangement:
    """Group images by the patient in their headers.

    Nothing changes if any image has a group already, or if the user gave a pattern. A group is named after the first
    image of the patient, so neither the id nor its hash leaves the index. Images without a patient get no group.

    Args:
        arrangement: the arranged folder.
        surveyed: headers of its images.
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
