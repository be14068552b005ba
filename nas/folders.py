# SPDX-License-Identifier: Apache-2.0
"""The rules that a user may give for a folder of images: class map, fit, sample bits and the pattern for patients."""

from __future__ import annotations

import re
from enum import Enum

CLASS_MAPS = ("birads", "three", "binary")
"""Class maps of KAU-BCMD by name.

``birads`` makes each BI-RADS category a class; ``three`` has 1, 3 and 4-5, as the paper's FC(3);
``binary`` has 1-3 and 4-5.
"""
FITS = ("pad", "crop")
"""How an image of any aspect becomes a square: padded with black as a whole, or cropped to the breast and padded."""
LEAST_SAMPLE_BITS, MOST_SAMPLE_BITS = 8, 16
"""Limits of ``sample_bits``: bits of the largest value of a 16-bit grey image. The default is the upper limit."""
_MOST_TEXT = 1000
"""Most characters of a rule."""


class PatientSource(Enum):
    """Where the patient of an image comes from.

    The first source in this order that names the patient of any image is used for the whole data set.
    """

    PATTERN = "the patient of --group-regex"
    LIST = "the group of the list"
    FILE_NAME = "the patient of the file name"
    DICOM_HEADER = "the patient of the DICOM header"
    NONE = "image"
    """No patient is known, so single images are divided."""


def parse_class_map(text: str) -> dict[str, str]:
    """Parse a class map that a user wrote, such as ``1=benign,2=benign,4=malignant``.

    Returns:
        Class by label. Labels that are missing in it are left out of the data set.

    Raises:
        ValueError: it is no class map. The message is the end of a sentence that begins with the name of the setting.
    """
    pairs = [pair.partition("=") for pair in text[:_MOST_TEXT].split(",")]
    classes = {found.strip(): name.strip() for found, _, name in pairs}
    is_whole = len(text) <= _MOST_TEXT and len(classes) == len(pairs)
    if not is_whole or not all(found and name and name.isprintable() for found, name in classes.items()):
        raise ValueError(
            f"must be one of {', '.join(CLASS_MAPS)} or like 1=benign,2=benign,4=malignant with each label once, "
            f"not {text[:40]!r}",
        )
    if len(set(classes.values())) < 2:
        raise ValueError("must lead to at least two classes")
    return classes


def check_class_map(text: str) -> None:
    """Check that a text is a name of ``CLASS_MAPS`` or a valid class map.

    Raises:
        ValueError: it is neither. The message is the end of a sentence that begins with the name of the setting.
    """
    if text not in CLASS_MAPS:
        parse_class_map(text)


def compile_group_regex(text: str) -> re.Pattern[str]:
    """Compile the pattern that finds a patient in the path of an image.

    The patient is what the pattern's group matches, or what the whole pattern matches if it has no group.

    Raises:
        ValueError: it is no regular expression, or has several groups. The message is the end of a sentence that
            begins with the name of the setting.
    """
    try:
        pattern = re.compile(text[: _MOST_TEXT + 1])
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if len(text) > _MOST_TEXT or pattern.groups > 1:
        raise ValueError(f"must have at most {_MOST_TEXT} characters and one group")
    return pattern
