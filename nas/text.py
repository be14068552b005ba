# SPDX-License-Identifier: Apache-2.0
"""Text from outside, made fit for a terminal or a log."""

from __future__ import annotations


def escape(text: str) -> str:
    """Show every character that could steer a terminal or break a line as its escape sequence."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
