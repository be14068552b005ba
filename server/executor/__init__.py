# SPDX-License-Identifier: Apache-2.0
"""Runs attempts and prepares data in processes of their own; whether an attempt is retried is decided elsewhere."""
