# SPDX-License-Identifier: Apache-2.0
"""The API on the wire: decodes requests, calls the engine and encodes answers; holds neither state nor rules."""
