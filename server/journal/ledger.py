# SPDX-License-Identifier: Apache-2.0
"""Counting what a damaged journal still has against what it must have had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from server.journal.high_water import Mark
from server.journal.survivors import Sighting


@dataclass(slots=True)
class Ledger:
    """Filled in the order of positions, then closed.

    Attributes:
        marks: of the high-water file.
        good: events of each search that are proven and without a gap from the first.
        known: events that each search had at least.
        last: position of the last proven record.
        total: records that there were at least.
        gaps: first and last position of each stretch before ``last`` that is not proven.
        tail: what lies behind ``last``.
        is_foreign: whether the database is not the one that was acknowledged.
    """

    marks: tuple[Mark, ...]
    good: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    last: int = 0
    total: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    tail: list[Sighting] = field(default_factory=list)
    is_foreign: bool = False
    _unproven: list[tuple[str, int]] = field(default_factory=list)
    _acknowledged: dict[str, int] = field(default_factory=dict)

    @property
    def acknowledged(self) -> int | None:
        """How many records were acknowledged, ``None`` if the high-water file does not say."""
        return max((mark.position for mark in self.marks), default=None)

    def fill(self, seen: Iterable[Sighting]) -> None:
        """Take in everything that can be read, and close."""
        for sighting in seen:
            if sighting.is_proven:
                self._add(sighting)
            else:
                self._unproven.append((sighting.search_id, sighting.sequence))
                self.tail.append(sighting)
        self._close()

    def _add(self, sighting: Sighting) -> None:
        search_id, sequence = sighting.search_id, sighting.sequence
        if sighting.position != self.last + 1:
            self.gaps.append((self.last + 1, sighting.position - 1))
        self.last = sighting.position
        self.tail.clear()
        self.known[search_id] = max(sequence, self.known.get(search_id, 0))
        if sequence == self.good.get(search_id, 0) + 1:
            self.good[search_id] = sequence
        self._compare(sighting)

    def _compare(self, sighting: Sighting) -> None:
        """Hold a proven record against the mark that was made of it."""
        for mark in self.marks:
            if mark.position == sighting.position and mark.chain == sighting.chain:
                self._acknowledged, self.is_foreign = dict(self.good), False  # the newest mark is the last one met
            elif mark.position == sighting.position:
                self.is_foreign = True

    def _close(self) -> None:
        if self.is_foreign:
            self.good = self._acknowledged
        self.total = max(self.acknowledged or 0, self.last + len(self.tail))
        # What a row says about itself is taken for granted only where it is what had to come next.
        for search_id, sequence in self._unproven:
            if sequence == self.known.get(search_id, 0) + 1 and sum(self.known.values()) < self.total:
                self.known[search_id] = sequence
