# SPDX-License-Identifier: Apache-2.0
"""Hand a search to a cluster: all of it, or nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence

from client.cluster.api import Cluster
from client.cluster.plan import Document, JobPlan, render
from client.cluster.refusals import UnreachableError
from client.errors import ClientError, Exit
from client.output import note

POLL_SECONDS = 1.0


def submit(cluster: Cluster, plan: JobPlan, *, wait_seconds: float) -> None:
    """Create the Job and what it needs; what is shared, or was left by a Job of the same name, stays as it is.

    Args:
        cluster: to create it in.
        plan: what to create.
        wait_seconds: how long to wait for a Job and a claim of the same name that are being deleted.

    Raises:
        ClientError: something that the Job needs is not there, or the cluster refuses; nothing new is left behind.
    """
    _require_queue(cluster, plan)
    _require_data(cluster, plan)
    deadline = time.monotonic() + wait_seconds
    for kind, name in (("Job", plan.name), ("PersistentVolumeClaim", plan.state_claim)):
        _wait_until_gone(cluster, kind, name, deadline)
    if cluster.find("Job", plan.name) is not None:
        sentence = f"Job {plan.name} exists already in namespace {plan.namespace}; choose another --name, or look at it"
        raise ClientError(f"{sentence} with `nas-client jobs attach`.", Exit.USAGE)
    made = _create(cluster, render(plan))
    if all(document["metadata"]["name"] != plan.state_claim for document in made):
        note(f"Claim {plan.state_claim} is there already; its search goes on where it stopped.")
    note(f"Job {plan.name} is in namespace {plan.namespace}.")


def _create(cluster: Cluster, documents: Sequence[Document]) -> list[Document]:
    """Create what does not exist; returns it. The last document is the Job and has to be new."""
    *needed, job = documents
    made: list[Document] = []
    try:
        for document in needed:
            if cluster.ensure(document):
                made.append(document)
        cluster.create(job)
    except UnreachableError as error:
        # The answer may be what got lost; without its claim a Job that was created could never run.
        sentence = f"It is not known whether job {job['metadata']['name']} was created; see `nas-client jobs list`."
        raise UnreachableError(f"{error} {sentence}") from error
    except ClientError:
        _take_back(cluster, made)
        raise
    return made


def _take_back(cluster: Cluster, made: Sequence[Document]) -> None:
    """Delete what was created in vain; what the user may not delete is named."""
    for document in reversed(made):
        kind, name = document["kind"], document["metadata"]["name"]
        try:
            cluster.delete(kind, name)
        except ClientError as error:
            note(f"{kind} {name} was created and stays: {error}")


def _wait_until_gone(cluster: Cluster, kind: str, name: str, deadline: float) -> None:
    """Wait for an object that is being deleted; one that is not stays."""
    is_said = False
    while (found := cluster.find(kind, name)) is not None and found["metadata"].get("deletionTimestamp"):
        if time.monotonic() > deadline:
            sentence = f"{kind} {name} of namespace {cluster.namespace} is still being deleted, as a pod may hold it"
            raise ClientError(
                f"{sentence} (`kubectl get pods`); try again, or choose another --name.", Exit.UNAVAILABLE
            )
        if not is_said:
            note(f"{kind} {name} is still being deleted; waiting until it is gone.")
        is_said = True
        time.sleep(POLL_SECONDS)


def _require_queue(cluster: Cluster, plan: JobPlan) -> None:
    if plan.queue is None:
        return
    queues = cluster.queues()
    if queues is None:
        raise ClientError("The cluster has no Kueue, so there are no queues; leave --queue out.", Exit.NOT_FOUND)
    if plan.queue not in queues:
        cluster.require_namespace()
        there = f"there are {', '.join(sorted(queues))}" if queues else "there is none; ask for a LocalQueue"
        raise ClientError(f"Namespace {plan.namespace} has no queue {plan.queue}; {there}.", Exit.NOT_FOUND)


def _require_data(cluster: Cluster, plan: JobPlan) -> None:
    if plan.data_claim is None or cluster.find("PersistentVolumeClaim", plan.data_claim) is not None:
        return
    cluster.require_namespace()
    raise ClientError(
        f"Namespace {plan.namespace} has no claim {plan.data_claim} with the data sets; make one "
        "(docs/operations.md shows how), or name another with --data-claim.",
        Exit.NOT_FOUND,
    )
