# SPDX-License-Identifier: Apache-2.0
"""``datasets``: what ``--dataset`` takes, and whether a folder is fit to be one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from client.connection import connect
from client.errors import ClientError, Exit
from client.inspection import inspection_view
from client.local import local_dataset
from client.options import options_of, parse_whole
from client.output import note, write, write_message
from client.phrases import describe_shape
from client.published import KINDS, SETS, Release, shared_patients, to_csv, without_other_kinds
from client.settings import Output, Settings, output_option
from client.text import count, fields, table
from nas.api.v1 import search_service_pb2
from nas.catalogue import CATALOGUE

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


_CHECK_EPILOG = """\b
Examples:
  nas-client datasets check kau --as kau
  nas-client datasets check my/scans --as folder --output json

\b
Exit status:
  0    no faults
  2    faults, or a folder that is not there
"""
_MANIFEST_EPILOG = """\b
Examples:
  nas-client datasets manifest mias ~/mias
  nas-client datasets manifest cbis-ddsm ~/cbis --only mass
"""
_KINDS = tuple(name for name, info in CATALOGUE.items() if info.is_folder or info.files)


@click.group("datasets")
def command() -> None:
    """Show the data sets that the server knows, and check folders."""


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


@command.command("check", epilog=_CHECK_EPILOG)
@click.argument("path")
@click.option("--as", "kind", required=True, type=click.Choice(_KINDS), help="The data set that the folder is to be.")
@options_of(search_service_pb2.CheckDatasetRequest)
@click.option(
    "--names",
    type=parse_whole(32),
    default=0,
    metavar="N",
    help="Most files and patients that each finding names. [default: 100]",
)
@output_option
@click.pass_obj
def check(settings: Settings, /, path: str, names: int, **given: Any) -> int:
    """Look for everything that is wrong with a folder of images, without starting anything.

    PATH lies below the server's data root, or anywhere with --local. Classes, patients and sizes are counted; leaks,
    duplicates, contradicting labels and unreadable files are named. File and patient names are shown here and nowhere
    else.
    """
    if settings.state_dir is not None:
        path = local_dataset(f":{path}").removeprefix(":")
    request = search_service_pb2.CheckDatasetRequest(path=path, max_names=names, **given)
    with connect(settings) as connection:
        found = connection.call(connection.stub.CheckDataset, request, waits_for_data=True)
    if settings.output is Output.TEXT:
        write(inspection_view(found))
    else:
        write_message(found, is_compact=settings.output is Output.JSONL)
    return Exit.OK if found.is_ok else Exit.USAGE


@command.command("manifest", epilog=_MANIFEST_EPILOG)
@click.argument("name", metavar="SET", type=click.Choice(list(SETS)))
@click.argument("folder", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--only", type=click.Choice(KINDS), help="Of cbis-ddsm: list masses, or calcifications.")
@click.option("--no-split", is_flag=True, help="Leave the publisher's parts out, so that a search divides anew.")
def manifest(*, name: str, folder: Path, only: str | None, no_split: bool) -> None:
    """Make the list of a published set of mammograms from its publisher's sheet, for --dataset manifest:PATH.

    SET is mias, cbis-ddsm or inbreast; PATH is a folder of this machine. Images keep their patient and the publisher's
    part. Nothing is written into the folder: send standard output to PATH/manifest.csv.
    """
    if only is not None and name != "cbis-ddsm":
        raise ClientError("--only is for cbis-ddsm.", Exit.USAGE)
    release = Release.open(name, folder)
    images = SETS[name](release if only is None else without_other_kinds(release, only))
    if no_split:
        images = [replace(image, split="") for image in images]
    shared = shared_patients(images)
    if shared:
        raise ClientError(
            f"{count(shared, 'patient')} of {name} would be in the training and in the test part; list one kind with "
            "--only mass or --only calc, or leave the publisher's parts out with --no-split.",
            Exit.USAGE,
        )
    write(to_csv(images))
    patients = len({image.group for image in images})
    labels = ", ".join(f"{number} {label}" for label, number in sorted(Counter(one.label for one in images).items()))
    note(f"{count(len(images), 'image')} of {count(patients, 'patient')}: {labels}.")


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
