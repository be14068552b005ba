# SPDX-License-Identifier: Apache-2.0
"""A search as it happens, on a whole terminal: a fold of its events, a picture of the fold, and a thin loop."""
