# SPDX-License-Identifier: Apache-2.0
"""Prepared data sets on disk: one array of images each, fingerprinted, mapped into memory."""
