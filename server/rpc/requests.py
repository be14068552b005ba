# SPDX-License-Identifier: Apache-2.0
"""Checks what a request says before anybody acts on it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import TypeVar

from nas.child import ChildId
from server.rpc.errors import InvalidRequestError

MAX_PAGE_SIZE = 1000

ItemT = TypeVar("ItemT")


def require_search_id(text: str) -> str:
    """Return a well-formed search id.

    Raises:
        InvalidRequestError: it is none.
    """
    if not re.fullmatch(r"[0-9a-f]{12}", text, flags=re.ASCII):
        raise InvalidRequestError(
            "INVALID_SEARCH_ID", f"{text[:40]!r} is no search id; one is twelve hexadecimal digits"
        )
    return text


def require_child_id(text: str) -> ChildId:
    """Return a child id.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return ChildId.parse(text)
    except ValueError:
        raise InvalidRequestError("INVALID_CHILD_ID", f"{text[:40]!r} is no child id; one looks like 2-3") from None


def require_request_id(text: str) -> str:
    """Return a request id in its canonical form.

    Raises:
        InvalidRequestError: it is no UUID.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidRequestError("INVALID_REQUEST", f"request id {text[:40]!r} is no UUID") from None


def require_sequence(number: int) -> int:
    """Return a sequence to watch from.

    Raises:
        InvalidRequestError: it is negative.
    """
    if number < 0:
        raise InvalidRequestError("INVALID_REQUEST", f"after_sequence must be at least 0, not {number}")
    return number


def take_page(
    items: Sequence[tuple[str, ItemT]], *, page_size: int, page_token: str, default: int
) -> tuple[list[ItemT], str]:
    """Cut one page out of keyed items; the token is the key of the last item of the page before.

    Returns:
        The items, and the next token, empty on the last page.

    Raises:
        InvalidRequestError: the size is out of range, or the token is none of ours.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidRequestError("INVALID_PAGE", f"page_size must lie between 0 and {MAX_PAGE_SIZE}, not {page_size}")
    start = 0
    if page_token:
        keys = [key for key, _ in items]
        if page_token not in keys:
            raise InvalidRequestError("INVALID_PAGE", "page_token is none that this server gave out")
        start = keys.index(page_token) + 1
    page = items[start : start + (page_size or default)]
    is_last = start + len(page) >= len(items)
    return [item for _, item in page], "" if is_last or not page else page[-1][0]
