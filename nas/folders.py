# SPDX-License-Identifier: Apache-2.0
"""What a user may write about a folder of images: which classes its labels become, and who is on an image."""

from __future__ import annotations

import re
from enum import Enum

CLASS_MAPS = ("birads", "three", "binary")
"""Of KAU-BCMD: BI-RADS categories as found; 1, 3 and 4-5, the paper's FC(3); 1-3 and 4-5."""
FITS = ("pad", "crop")
"""How an image of any aspect becomes a square: the whole of it padded with black, or the breast cut out and padded."""
LEAST_SAMPLE_BITS, MOST_SAMPLE_BITS = 8, 16
"""That a value of a 16-bit grey image may take; the most is the default."""
_MOST_TEXT = 1000
"""Characters of one rule."""


class PatientSource(Enum):
    """What says whose image it is; the first of them that names anybody counts for the whole data set."""

    PATTERN = "the patient of --group-regex"
    LIST = "the group of the list"
    FILE_NAME = "the patient of the file name"
    DICOM_HEADER = "the patient of the DICOM header"
    NONE = "image"
    """Nobody is known, and images are divided one by one."""


def parse_class_map(text: str) -> dict[str, str]:
    """Read a class map of one's own: ``1=benign,2=benign,4=malignant``.

    Returns:
        The class of each label as found; labels that are not in it are left out of the data set.

    Raises:
        ValueError: it is none; the message goes on after the name of the setting.
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
    """Accept a name of ``CLASS_MAPS`` or a class map of one's own.

    Raises:
        ValueError: it is neither; the message goes on after the name of the setting.
    """
    if text not in CLASS_MAPS:
        parse_class_map(text)


def compile_group_regex(text: str) -> re.Pattern[str]:
    """Read the pattern that finds a patient in the path of an image: its group, or all that it matches if it has none.

    Raises:
        ValueError: it is no regular expression, or has more than one group; the message goes on after its name.
    """
    try:
        pattern = re.compile(text[: _MOST_TEXT + 1])
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if len(text) > _MOST_TEXT or pattern.groups > 1:
        raise ValueError(f"must have at most {_MOST_TEXT} characters and one group")
    return pattern
