# SPDX-License-Identifier: Apache-2.0
"""Hand a search to a cluster: all of it, or nothing."""

from __future__ import annotations

from client.cluster.api import Cluster
from client.cluster.plan import JobPlan, render
from client.errors import ClientError, Exit
from client.output import note


def submit(cluster: Cluster, plan: JobPlan) -> None:
    """Create the Job and what it needs; what is shared, or was left by a Job of the same name, stays as it is.

    Raises:
        ClientError: something that the Job needs is not there, or the cluster refuses; nothing new is left behind.
    """
    _require_queue(cluster, plan)
    _require_data(cluster, plan)
    *needed, job = render(plan)
    made = [document for document in needed if cluster.ensure(document)]
    try:
        cluster.create(job)
    except ClientError:
        for document in made:
            if document["metadata"]["name"] == plan.state_claim:
                cluster.delete("PersistentVolumeClaim", plan.state_claim)
        raise
    if all(document["metadata"]["name"] != plan.state_claim for document in made):
        note(f"Claim {plan.state_claim} is there already; its search goes on where it stopped.")
    note(f"Job {plan.name} is in namespace {plan.namespace}.")


def _require_queue(cluster: Cluster, plan: JobPlan) -> None:
    if plan.queue is None:
        return
    queues = cluster.queues()
    if queues is None:
        raise ClientError("The cluster has no Kueue, so there are no queues; leave --queue out.", Exit.NOT_FOUND)
    if plan.queue not in queues:
        there = f"there are {', '.join(sorted(queues))}" if queues else "there is none; ask for a LocalQueue"
        raise ClientError(f"Namespace {plan.namespace} has no queue {plan.queue}; {there}.", Exit.NOT_FOUND)


def _require_data(cluster: Cluster, plan: JobPlan) -> None:
    if plan.data_claim is None or cluster.find("PersistentVolumeClaim", plan.data_claim) is not None:
        return
    raise ClientError(
        f"Namespace {plan.namespace} has no claim {plan.data_claim} with the data sets; make one "
        "(docs/operations.md shows how), or name another with --data-claim.",
        Exit.NOT_FOUND,
    )
