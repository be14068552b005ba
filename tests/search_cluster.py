# SPDX-License-Identifier: Apache-2.0
"""Several simulated workers at once and a server that can be killed: attempts whose reports arrive in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from search_driver import Driver, make_lost

from nas.search import commands
from nas.search.evolve import replay
from nas.search.machine import Work, pending_work, running_attempts
from nas.search.reasons import LostReason

OUTCOMES = commands.ReportTrained | commands.ReportEvaluated | commands.ReportFailed | commands.ReportLost


@dataclass(slots=True)
class Cluster:
    """``slots`` workers of one search.

    Attributes:
        running: the attempts that have a worker, and the reports that each has not sent yet.
    """

    driver: Driver
    slots: int
    running: dict[Work, Iterator[commands.Report]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the search has ended."""
        return self.driver.search.state.is_terminal

    def reconcile(self) -> None:
        """End the workers whose work is no longer wanted and launch what is pending while there are slots."""
        wanted = pending_work(self.driver.search)
        for work in [work for work in self.running if work not in wanted]:
            self.lose(work, LostReason.CANCELLED)
        for work in pending_work(self.driver.search):
            if work.attempt is None and len(self.running) < self.slots:
                launched = self.driver.launch(str(work.child_id))
                self.running[launched] = self.driver.reports(launched)

    def advance(self, index: int) -> None:
        """Send the next report of one of the workers."""
        work = list(self.running)[index % len(self.running)]
        report = next(self.running[work])
        if isinstance(report, OUTCOMES):
            del self.running[work]
        self.driver.send(report)

    def lose(self, work: Work, reason: LostReason) -> None:
        """End a worker."""
        del self.running[work]
        self.driver.send(make_lost(work, reason))

    def restart(self) -> None:
        """Kill the server: the workers die with it, the state is replayed, and what was out is lost."""
        self.running.clear()
        recovered = replay(self.driver.facts)
        assert recovered == self.driver.search
        self.driver.search = recovered
        self.driver.lose(LostReason.SERVER_RESTARTED)
        assert not running_attempts(self.driver.search)
