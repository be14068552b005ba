# SPDX-License-Identifier: Apache-2.0
"""Published sets of mammograms: from the sheet of their publisher to the list that ``manifest:PATH`` reads."""

from __future__ import annotations

from collections.abc import Callable

from client.published.cbis_ddsm import KINDS, list_cbis_ddsm, shared_patients, without_other_kinds
from client.published.inbreast import list_inbreast
from client.published.listing import Listed, Release, to_csv
from client.published.mias import list_mias

SETS: dict[str, Callable[[Release], list[Listed]]] = {
    "mias": list_mias,
    "cbis-ddsm": list_cbis_ddsm,
    "inbreast": list_inbreast,
}
"""What reads each set."""

__all__ = ["KINDS", "SETS", "Listed", "Release", "shared_patients", "to_csv", "without_other_kinds"]
