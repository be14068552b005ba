# SPDX-License-Identifier: Apache-2.0
"""The address of the metrics is taken as soon as it is reserved."""

from __future__ import annotations

import pytest

from server.sinks.scrape import ScrapeEndpoint


async def _page() -> bytes:
    return b""


async def test_an_address_is_taken_before_anybody_is_answered() -> None:
    """Of two servers that start together the second hears of the first, instead of failing when it begins to serve."""
    first, second = ScrapeEndpoint(_page), ScrapeEndpoint(_page)
    address = await first.reserve("127.0.0.1:0")

    with pytest.raises(OSError, match="in use"):
        await second.reserve(address)

    await first.open()
    await second.open()
    await first.close()
