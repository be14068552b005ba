# SPDX-License-Identifier: Apache-2.0
"""The API on the wire: decode, call, encode; no state, no rule."""
