# SPDX-License-Identifier: Apache-2.0
"""Follow what a pod writes, over as many connections as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from client.cluster.api import Cluster
from client.cluster.endings import containers
from client.cluster.inquiry import POLL_SECONDS, Patience
from client.cluster.refusals import UnreachableError
from client.output import note


def follow_log(cluster: Cluster, pod: str, *, reconnect_seconds: float) -> Iterator[str]:
    """Yield the lines of a pod until its container has ended, each once.

    A stream that broke is opened again, with the time of each line, and what was yielded before is left out.

    Args:
        cluster: holds the pod.
        pod: its name.
        reconnect_seconds: how long to look for a cluster that went away.

    Raises:
        LogMissingError: its container has not started.
        ClientError: the cluster refuses, or was gone for too long.
    """
    patience, last = Patience(cluster, reconnect_seconds, note), ""
    is_running: bool | None = True
    while is_running is not None:
        try:
            for line in cluster.log(pod, is_followed=True, has_times=True):
                patience.find()
                stamp, _, text = line.partition(" ")
                if sortable(stamp) > last:
                    last = sortable(stamp)
                    yield text
        except UnreachableError as error:
            patience.lose(error)
        else:  # an API server that stops ends its streams without an error, so the end has to be asked for
            patience.find()
            if not is_running:
                return
            is_running = patience.ask(lambda: _is_running(cluster, pod))
            time.sleep(POLL_SECONDS if is_running else 0)


def sortable(stamp: str) -> str:
    """The time of a line in a form that sorts like the times: a kubelet leaves zeros at the end of fractions out."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _is_running(cluster: Cluster, pod: str) -> bool | None:
    """Whether a pod's container runs, None if there is no such pod any more."""
    found = cluster.find("Pod", pod)
    return None if found is None else any("running" in (each.get("state") or {}) for each in containers(found)[:1])
