# SPDX-License-Identifier: Apache-2.0
"""Folders of image files as data sets: surveyed, chosen from, decoded, reported on."""
