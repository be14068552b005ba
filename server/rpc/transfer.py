# SPDX-License-Identifier: Apache-2.0
"""Files on their way to a client: a trained net with its description, and the logs of attempts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

from nas.api.v1 import search_service_pb2 as pb
from nas.search.state import Child, Search
from nas.selection import Role
from server.codec import assessments, enums, records
from server.codec.settings import encode_config
from server.codec.views import SearchView, encode_child_in_full
from server.engine.errors import ChildNotFoundError, FileMissingError, NothingTrainedError, WeightsDamagedError
from server.files import StateFiles
from server.rpc.requests import require_child_id

_CHUNK_BYTES = 256 << 10


async def export_model(
    view: SearchView, request: pb.ExportModelRequest, files: StateFiles
) -> AsyncGenerator[pb.ExportModelResponse, None]:
    """Yield the description of a trained net, then its weights file.

    Raises:
        InvalidRequestError, ChildNotFoundError, NothingTrainedError, FileMissingError, WeightsDamagedError
    """
    search = view.search
    child = _choose(view, request)
    path = files.weights(view.search_id, child.child_id)
    if not child.weights_sha256 or not path.is_file():
        raise FileMissingError(view.search_id, child.child_id, "weights file")
    yield pb.ExportModelResponse(description=_describe(view, child, path.stat().st_size))
    hasher = hashlib.sha256()
    async for chunk in _read(path):
        hasher.update(chunk)
        yield pb.ExportModelResponse(chunk=chunk)
    if hasher.hexdigest() != search.children[child.child_id].weights_sha256:
        raise WeightsDamagedError(view.search_id, child.child_id)


async def read_log(
    view: SearchView, request: pb.ReadLogRequest, files: StateFiles
) -> AsyncGenerator[pb.ReadLogResponse, None]:
    """Yield what the worker of an attempt has written to its log so far.

    Raises:
        InvalidRequestError, ChildNotFoundError, FileMissingError
    """
    child = _child(view, request.child_id)
    attempt = request.attempt or child.attempts
    path = files.log(view.search_id, child.child_id, attempt)
    if not path.is_file():
        raise FileMissingError(view.search_id, child.child_id, f"log of attempt {attempt}")
    async for chunk in _read(path):
        yield pb.ReadLogResponse(chunk=chunk)


def _choose(view: SearchView, request: pb.ExportModelRequest) -> Child:
    """Return the child that the request names; the incumbent if it names none."""
    if request.HasField("child_id"):
        return _child(view, request.child_id)
    search: Search = view.search
    role = enums.decode(Role, request.role) if request.role else Role.BEST
    if role is Role.SMALLEST and search.selections:
        return search.finished(search.selections[-1].choices[-1].child_id)
    if search.incumbent is None:
        raise NothingTrainedError(view.search_id)
    return search.incumbent


def _child(view: SearchView, text: str) -> Child:
    child_id = require_child_id(text)
    if child_id not in view.search.children:
        raise ChildNotFoundError(view.search_id, child_id)
    return view.search.children[child_id]


def _describe(view: SearchView, child: Child, size: int) -> pb.ModelDescription:
    search = view.search
    description = pb.ModelDescription(
        search_id=view.search_id,
        child=encode_child_in_full(child, search),
        dataset=records.encode_dataset(search.started.dataset),
        config=encode_config(search.config),
        weights_bytes=size,
    )
    for assessed in (found for found in search.assessed if found.child_id == child.child_id):
        description.test_evaluation.CopyFrom(records.encode_evaluation(assessed.evaluation))
        if assessed.assessment is not None:
            description.assessment.CopyFrom(assessments.ASSESSMENT.encode(assessed.assessment))
    return description


async def _read(path: Path) -> AsyncGenerator[bytes, None]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
