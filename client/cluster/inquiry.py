# SPDX-License-Identifier: Apache-2.0
"""All that the cluster says about one Job, and patience with a cluster that does not answer for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from client.cluster.api import Cluster, is_owned
from client.cluster.diagnosis import obstacle
from client.cluster.endings import Outcome, newest, outcome
from client.cluster.obstacles import Obstacle
from client.cluster.plan import Document
from client.cluster.refusals import UnreachableError

POLL_SECONDS = 1.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a Job is up to.

    Attributes:
        job: as the cluster has it.
        pod: its newest one, None if there is none.
        outcome: how it has ended, None if it has not.
        obstacle: why it does not run, None if nothing is in its way.
    """

    job: Document
    pod: Document | None
    outcome: Outcome | None
    obstacle: Obstacle | None


def inquire(cluster: Cluster, name: str) -> Finding:
    """Ask about a Job.

    Raises:
        ClientError: there is none, or the cluster refuses.
    """
    job = cluster.job(name)
    pods = cluster.pods(job)
    pod, ended = newest(pods), outcome(job, pods)
    hindrance = None
    if ended is None:
        is_queued = bool(job["spec"].get("suspend"))
        workloads = cluster.workloads() if is_queued else []
        events = [] if is_queued else cluster.events(pod["metadata"]["name"] if pod else name)
        hindrance = obstacle(job, pods, events, workload_of(job, workloads))
    return Finding(job=job, pod=pod, outcome=ended, obstacle=hindrance)


def workload_of(job: Document, workloads: list[Document]) -> Document | None:
    """What Kueue says about a Job, None if it says nothing."""
    return next((workload for workload in workloads if is_owned(workload, job)), None)


class Patience:
    """Asks again while a cluster that has answered before does not answer."""

    def __init__(self, cluster: Cluster, seconds: float, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            cluster: that is asked.
            seconds: how long to ask again, each time that the cluster is gone.
            say: tells a person, once when it is gone and once when it is back.
        """
        self._cluster = cluster
        self._seconds = seconds
        self._say = say
        self._lost_since: float | None = None

    def lose(self, error: UnreachableError) -> None:
        """Take note that a question got no answer, and wait for a moment.

        Raises:
            UnreachableError: the cluster has never answered, or is gone for too long.
        """
        now = time.monotonic()
        if not self._cluster.has_answered or now - (self._lost_since or now) > self._seconds:
            raise error
        if self._lost_since is None:
            self._lost_since = now
            self._say(f"{error} Trying for up to {self._seconds:g} s.")
        time.sleep(POLL_SECONDS)

    def find(self) -> None:
        """Take note that the cluster answers."""
        if self._lost_since is not None:
            self._say("The cluster answers again.")
        self._lost_since = None

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer.

        Raises:
            UnreachableError: the cluster has never answered, or is gone for too long.
            ClientError: it refuses.
        """
        while True:
            try:
                answer = question()
            except UnreachableError as error:
                self.lose(error)
            else:
                self.find()
                return answer
