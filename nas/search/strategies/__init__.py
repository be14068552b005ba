# SPDX-License-Identifier: Apache-2.0
"""The strategies of a search by name: to add one, write a module beside this one and add a line to ``STRATEGIES``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nas.search.strategies.base import Strategy
from nas.search.strategies.paper import PaperStrategy

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "paper": PaperStrategy(),
    }
)
"""What the setting ``strategy`` can name. A name stays, because journals hold it."""
