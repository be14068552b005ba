# SPDX-License-Identifier: Apache-2.0
"""``submit``: run a search as a Job of a Kubernetes cluster."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from client.cluster.options import (
    check_image,
    check_name,
    check_quantity,
    cluster_options,
    require_extra,
    wait_option,
)
from client.commands.watch import plain_option, reconnect_option
from client.errors import Exit
from client.options import search_options, search_words
from client.output import write, write_document
from client.settings import Output, Settings

if TYPE_CHECKING:
    from client.cluster.plan import JobPlan

YAML = "yaml"
_EPILOG = """\b
Examples:
  nas-client submit --dataset kau --block seib --gpus 1 --image registry.example/seib-nas:0.2.0
  nas-client submit --dataset digits --block ib --gpus 0 --image seib-nas --dry-run -o yaml
"""
_SHIPPED = ("digits",)
"""Data sets that come with the image and need no claim."""
_JOB_OPTIONS = (
    click.option("--image", required=True, callback=check_image, metavar="IMAGE", help="What the job runs."),
    click.option("--name", callback=check_name, metavar="NAME", help="Of the job; default: a new one."),
    click.option(
        "--gpus", type=click.IntRange(0, 64), metavar="N", default=1, show_default=True, help="NVIDIA GPUs; 0: CPUs."
    ),
    click.option(
        "--cpus", callback=check_quantity, metavar="N", default="2", show_default=True, help="CPUs to ask for."
    ),
    click.option(
        "--memory", callback=check_quantity, metavar="SIZE", default="16Gi", show_default=True, help="Memory limit."
    ),
    click.option("--queue", callback=check_name, metavar="NAME", help="Queue of Kueue to wait in."),
    click.option("--data-claim", callback=check_name, metavar="NAME", help="Holds the data root; default: nas-data."),
    click.option(
        "--state-size",
        callback=check_quantity,
        metavar="SIZE",
        default="20Gi",
        show_default=True,
        help="Of the claim for journal and weights.",
    ),
)


def _job_options(command: Any) -> Any:
    for option in reversed(_JOB_OPTIONS):
        command = option(command)
    return command


@click.command("submit", epilog=_EPILOG)
@search_options
@_job_options
@cluster_options
@click.option("--dry-run", is_flag=True, help="Print the manifests and send nothing.")
@click.option("--detach", is_flag=True, help="Print the job's name and leave; the search goes on.")
@wait_option
@reconnect_option
@plain_option
@click.option(
    "--output",
    "-o",
    type=click.Choice([*(output.value for output in Output), YAML]),
    help="How to print; yaml is for --dry-run and what it prints unless told otherwise.",
)
@click.pass_obj
def command(settings: Settings, /, **given: Any) -> int:
    """Run a search as a Job of a Kubernetes cluster.

    The job resumes from its claim whatever happens to its pods. Ctrl-C leaves it running; `nas-client jobs attach`
    comes back to it. Needs the extra k8s, and kubectl for watching.
    """
    require_extra()
    from client.cluster.api import Cluster
    from client.cluster.attach import Attachment
    from client.cluster.forward import Kubectl
    from client.cluster.submission import submit

    if given["output"] == YAML and not given["dry_run"]:
        raise click.UsageError("-o yaml shows what --dry-run would send; give both.")
    if given["output"] not in (None, YAML):
        settings = replace(settings, output=Output(given["output"]))
    if given["dry_run"]:
        _show(_make_plan(given, given["namespace"]), given["output"] or YAML)
        return Exit.OK
    cluster = Cluster(context=given["context"], namespace=given["namespace"])
    forwarder = None if given["detach"] else Kubectl(context=given["context"], namespace=cluster.namespace)
    plan = _make_plan(given, cluster.namespace)
    submit(cluster, plan, wait_seconds=given["wait"])
    if forwarder is None:
        _print_detached(plan, settings.output)
        return Exit.OK
    return Attachment(
        cluster,
        plan.name,
        settings=settings,
        forwarder=forwarder,
        wait_seconds=given["wait"],
        reconnect_seconds=given["reconnect"],
        is_plain=given["plain"],
    ).follow()


def _make_plan(given: Mapping[str, Any], namespace: str | None) -> JobPlan:
    from client.cluster.plan import DATA_CLAIM, JobPlan

    is_shipped = given["dataset"] in _SHIPPED
    return JobPlan(
        name=given["name"] or f"nas-{secrets.token_hex(4)}",
        namespace=namespace or "default",
        image=given["image"],
        dataset=given["dataset"],
        block=given["block"],
        settings=search_words(given),
        gpus=given["gpus"],
        cpus=given["cpus"],
        memory=given["memory"],
        state_size=given["state_size"],
        queue=given["queue"],
        data_claim=given["data_claim"] or (None if is_shipped else DATA_CLAIM),
    )


def _show(plan: JobPlan, output: str) -> None:
    from client.cluster.plan import dump, render

    documents = render(plan)
    if output in (Output.JSON, Output.JSONL):
        write_document({"apiVersion": "v1", "kind": "List", "items": documents}, is_compact=output == Output.JSONL)
    else:
        write(dump(documents).rstrip())


def _print_detached(plan: JobPlan, output: Output) -> None:
    if output is Output.TEXT:
        write(plan.name)
    else:
        write_document({"job": plan.name, "namespace": plan.namespace}, is_compact=output is Output.JSONL)
