# SPDX-License-Identifier: Apache-2.0
"""``jobs``: the searches that run as Jobs of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from client.cluster.options import cluster_options, job_argument, require_extra, wait_option
from client.commands.watch import plain_option, reconnect_option
from client.errors import ClientError, Exit
from client.output import note, write, write_document
from client.settings import Output, Settings, output_option
from client.text import table
from nas.text import escape

if TYPE_CHECKING:
    from client.cluster.api import Cluster


@click.group("jobs")
def command() -> None:
    """List, follow or delete the jobs of a cluster."""


@command.command(
    "list", epilog="\b\nExamples:\n  nas-client jobs list\n  nas-client jobs list --namespace ml --output json\n"
)
@cluster_options
@output_option
@click.pass_obj
def list_jobs(settings: Settings, /, context: str | None, namespace: str | None) -> None:
    """List the jobs of a namespace, newest first."""
    cluster = _open(context, namespace)
    from client.cluster.listing import rows

    found = rows(cluster)
    match settings.output:
        case Output.TEXT if found:
            headings = tuple(heading.upper() for heading in found[0])
            write(table(headings, [tuple(row.values()) for row in found]))
        case Output.TEXT:
            note(f"Namespace {cluster.namespace} has no job yet.")
        case Output.JSON:
            write_document({"jobs": found}, is_compact=False)
        case Output.JSONL:
            for row in found:
                write_document(row, is_compact=True)


@command.command(
    "attach",
    epilog="\b\nExamples:\n  nas-client jobs attach nas-1f2e3d4c\n  nas-client jobs attach nas-1f2e3d4c --plain\n",
)
@job_argument
@cluster_options
@wait_option
@reconnect_option
@plain_option
@output_option
@click.pass_obj
def attach(settings: Settings, /, job: str, context: str | None, namespace: str | None, **given: Any) -> int:
    """Show the events of a job's search, from the first one on.

    Goes on when the cluster replaces the pod. Ctrl-C leaves the job running. Needs kubectl.
    """
    cluster = _open(context, namespace)
    from client.cluster.attach import Attachment
    from client.cluster.forward import Kubectl

    forwarder = Kubectl(context=context, namespace=cluster.namespace)
    return Attachment(
        cluster,
        job,
        settings=settings,
        forwarder=forwarder,
        wait_seconds=given["wait"],
        reconnect_seconds=given["reconnect"],
        is_plain=given["plain"],
    ).follow()


@command.command(
    "logs", epilog="\b\nExamples:\n  nas-client jobs logs nas-1f2e3d4c\n  nas-client jobs logs nas-1f2e3d4c --follow\n"
)
@job_argument
@cluster_options
@click.option("--follow", is_flag=True, help="Go on with what the pod will write.")
@reconnect_option
@click.pass_obj
def logs(
    _settings: Settings, /, job: str, context: str | None, namespace: str | None, follow: bool, reconnect: float
) -> None:
    """Print what the newest pod of a job has written."""
    cluster = _open(context, namespace)
    from client.cluster.inquiry import inquire
    from client.cluster.logs import follow_log
    from client.cluster.refusals import LogMissingError

    found = inquire(cluster, job)
    if found.pod is None:
        why = found.obstacle.sentence if found.obstacle else "`nas-client jobs list` says why."
        raise ClientError(f"Job {job} has no pod, so there is no log. {why}", Exit.NOT_FOUND)
    pod = found.pod["metadata"]["name"]
    try:
        for line in follow_log(cluster, pod, reconnect_seconds=reconnect) if follow else cluster.log(pod):
            write(escape(line))
    except LogMissingError as error:
        raise ClientError(
            f"{error} {found.obstacle.sentence if found.obstacle else ''}".rstrip(), Exit.NOT_FOUND
        ) from error


@command.command(
    "delete",
    epilog="\b\nExamples:\n  nas-client jobs delete nas-1f2e3d4c\n  nas-client jobs delete nas-1f2e3d4c --with-state\n",
)
@job_argument
@cluster_options
@click.option("--with-state", is_flag=True, help="Delete its claim with journal and weights, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(
    _settings: Settings, /, job: str, context: str | None, namespace: str | None, with_state: bool, yes: bool
) -> None:
    """Delete a job and its pods.

    Its claim stays unless you say otherwise, and `nas-client submit --name JOB` goes on from it.
    """
    cluster = _open(context, namespace)
    from client.cluster.plan import state_claim

    if not yes:
        what = f"job {job} and all that it has found" if with_state else f"job {job}; its claim stays"
        click.confirm(f"Delete {what}?", abort=True, err=True)
    if cluster.find("Job", job) is not None or not with_state:
        cluster.delete("Job", job)
    if with_state:
        cluster.delete("PersistentVolumeClaim", state_claim(job))
    write(f"{job} deleted")


def _open(context: str | None, namespace: str | None) -> Cluster:
    require_extra()
    from client.cluster.api import Cluster

    return Cluster(context=context, namespace=namespace)
