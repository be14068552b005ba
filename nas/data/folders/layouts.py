# SPDX-License-Identifier: Apache-2.0
"""The layout of each data set of the catalogue that is a folder of images."""

from __future__ import annotations

from nas.data.folders.kau import arrange_birads
from nas.data.folders.layout import Layout, arrange_classes
from nas.data.folders.manifest import arrange_manifest

LAYOUTS: dict[str, Layout] = {"folder": arrange_classes, "kau": arrange_birads, "manifest": arrange_manifest}
"""Layouts by the name of the data set."""
