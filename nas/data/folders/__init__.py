# SPDX-License-Identifier: Apache-2.0
"""Lists the files of a folder, and says which of them are images, and of which class, part and patient."""

from __future__ import annotations

from nas.data.folders.kau import is_no_mammogram, read_name
from nas.data.folders.layout import KINDS, Arrangement, Found, Item, Part, is_image_name, number_groups, start_of
from nas.data.folders.layouts import LAYOUTS
from nas.data.folders.tree import FileError, FoundFile, Listing, Parts, Tree, open_tree

__all__ = [
    "KINDS",
    "LAYOUTS",
    "Arrangement",
    "FileError",
    "Found",
    "FoundFile",
    "Item",
    "Listing",
    "Part",
    "Parts",
    "Tree",
    "is_image_name",
    "is_no_mammogram",
    "number_groups",
    "open_tree",
    "read_name",
    "start_of",
]
