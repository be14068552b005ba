# SPDX-License-Identifier: Apache-2.0
"""``export``: take a trained net home."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from client.completion import search_argument
from client.connection import connect
from client.errors import ClientError, Exit
from client.output import write, write_document
from client.settings import Output, Settings, output_option
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client export 3f2a9c01b7de --to model
  nas-client export 3f2a9c01b7de --child 1-3 --to child-1-3
"""
WEIGHTS, ARCHITECTURE, METRICS = "model.safetensors", "architecture.json", "metrics.json"


@click.command("export", epilog=_EPILOG)
@search_argument
@click.option("--child", metavar="X-Y", help="Which child; default: the best one of the whole search.")
@click.option("--smallest", is_flag=True, help="The smallest child of the last selection.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder that does not exist yet; default: SEARCH-CHILD here.",
)
@output_option
@click.pass_obj
def command(settings: Settings, search: str, child: str | None, smallest: bool, target: Path | None) -> None:
    """Write a trained net to a folder: weights (safetensors), architecture and metrics (JSON).

    The weights' SHA-256 is checked on the way. The folder appears whole or not at all.
    """
    if child is not None and smallest:
        raise click.UsageError("--child and --smallest name two nets; give one of them.")
    request = search_service_pb2.ExportModelRequest(search_id=search)
    if child is not None:
        request.child_id = child
    elif smallest:
        request.role = search_pb2.ROLE_SMALLEST
    if target is not None:
        _require_free(target)
    with connect(settings) as connection:
        responses = connection.stream(connection.stub.ExportModel, request)
        description = next(responses).description
        target = target or Path(f"{description.search_id}-{description.child.child_id}")
        _require_free(target)
        _write(target, description, (response.chunk for response in responses))
    if settings.output is Output.TEXT:
        write(f"child {description.child.child_id} written to {target}: {WEIGHTS}, {ARCHITECTURE}, {METRICS}")
    else:
        document = {"search_id": search, "child_id": description.child.child_id, "folder": str(target)}
        write_document(document, is_compact=settings.output is Output.JSONL)


def _require_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise ClientError(f"{target} exists already; name another folder with --to.", Exit.USAGE)
    if not target.absolute().parent.is_dir():
        sentence = f"{target} cannot be made: its folder is not there; make it first, or name another with --to."
        raise ClientError(sentence, Exit.USAGE)


def _write(target: Path, description: search_service_pb2.ModelDescription, chunks: Iterator[bytes]) -> None:
    """Write aside, check, and rename into place."""
    aside: Path | None = None
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
        _fill(aside, description, chunks)
        aside.chmod(0o777 & ~_umask())
        aside.rename(target)
        aside = None
    except OSError as error:
        raise ClientError(f"{target} cannot be written: {error.strerror}.", Exit.UNEXPECTED) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _fill(folder: Path, description: search_service_pb2.ModelDescription, chunks: Iterator[bytes]) -> None:
    hasher = hashlib.sha256()
    with (folder / WEIGHTS).open("wb") as file:
        for chunk in chunks:
            hasher.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if hasher.hexdigest() != description.child.weights_sha256:
        sentence = "The weights that arrived are not those that were trained; nothing was written. Try again."
        raise ClientError(sentence, Exit.UNEXPECTED)
    (folder / ARCHITECTURE).write_text(_json(_architecture(description)))
    (folder / METRICS).write_text(_json(_metrics(description)))


def _architecture(description: search_service_pb2.ModelDescription) -> search_service_pb2.ModelDescription:
    """What is needed to build the net and to feed it."""
    kept = search_service_pb2.ModelDescription(
        search_id=description.search_id, dataset=description.dataset, weights_bytes=description.weights_bytes
    )
    child = description.child
    kept.child.CopyFrom(
        search_pb2.Child(child_id=child.child_id, architecture=child.architecture, weights_sha256=child.weights_sha256)
    )
    return kept


def _metrics(description: search_service_pb2.ModelDescription) -> search_service_pb2.ModelDescription:
    """How it was trained and how well it does."""
    kept = search_service_pb2.ModelDescription()
    kept.CopyFrom(description)
    del kept.child.architecture.layers[:]
    return kept


def _json(message: search_service_pb2.ModelDescription) -> str:
    from google.protobuf.json_format import MessageToJson

    text: str = MessageToJson(message, preserving_proto_field_name=True, indent=2)
    return text + "\n"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
