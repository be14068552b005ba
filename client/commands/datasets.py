# SPDX-License-Identifier: Apache-2.0
"""``datasets``: what ``--dataset`` takes."""

from __future__ import annotations

import click

from client.connection import connect
from client.errors import ClientError, Exit
from client.output import write, write_message
from client.phrases import describe_shape
from client.settings import Output, Settings, output_option
from client.text import fields, table
from nas.api.v1 import search_service_pb2

_LIST_EPILOG = """\b
Examples:
  nas-client datasets list
  nas-client datasets list --output jsonl
"""
_INFO_EPILOG = """\b
Examples:
  nas-client datasets info mnist
  nas-client datasets info digits --output json
"""


@click.group("datasets")
def command() -> None:
    """Show the data sets that the server knows."""


@command.command("list", epilog=_LIST_EPILOG)
@output_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the data sets and whether their files are there."""
    found = _ask(settings)
    if settings.output is Output.JSON:
        write_message(found, is_compact=False)
    elif settings.output is Output.JSONL:
        for dataset in found.datasets:
            write_message(dataset, is_compact=True)
    else:
        rows = [(d.name, "yes" if d.is_available else "no", d.summary) for d in found.datasets]
        write(table(("DATASET", "THERE", "WHAT IT IS"), rows))


@command.command("info", epilog=_INFO_EPILOG)
@click.argument("name")
@output_option
@click.pass_obj
def info(settings: Settings, name: str) -> None:
    """Show one data set, and what to put where if its files are missing."""
    datasets = {dataset.name: dataset for dataset in _ask(settings).datasets}
    if name not in datasets:
        known = ", ".join(sorted(datasets))
        raise ClientError(f"There is no data set {name!r}; the data sets are {known}.", Exit.NOT_FOUND)
    if settings.output is Output.TEXT:
        write(fields(_fields(datasets[name])))
    else:
        write_message(datasets[name], is_compact=settings.output is Output.JSONL)


def _ask(settings: Settings) -> search_service_pb2.ListDatasetsResponse:
    with connect(settings) as connection:
        return connection.call(connection.stub.ListDatasets, search_service_pb2.ListDatasetsRequest())


def _fields(dataset: search_service_pb2.Dataset) -> list[tuple[str, str]]:
    pairs = [("dataset", dataset.name), ("what it is", dataset.summary)]
    if dataset.HasField("shape"):
        pairs.append(("images", describe_shape(dataset.shape)))
    if dataset.class_count:
        pairs.append(("classes", str(dataset.class_count)))
    pairs.append(("files", "there" if dataset.is_available else dataset.hint))
    return pairs
