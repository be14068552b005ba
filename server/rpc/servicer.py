# SPDX-License-Identifier: Apache-2.0
"""SearchService: each method decodes, calls and encodes; errors are translated in ``dispatch``."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from nas.api.v1 import event_pb2, search_service_pb2
from nas.api.v1 import search_service_pb2 as pb
from nas.catalogue import CATALOGUE, DatasetInfo
from nas.search import commands
from server.codec.checking import decode_check, decode_inspection
from server.codec.envelope import is_terminal, timestamp
from server.codec.records import SHAPE
from server.codec.settings import decode_config
from server.codec.views import encode_child, encode_child_in_full, encode_search, pause_reason
from server.engine import ChildNotFoundError, Registry
from server.executor.preparation import DataPreparation
from server.files import StateFiles
from server.hub import Heartbeat, Hub
from server.journal.base import Record
from server.rpc.access import CALLER
from server.rpc.plan import encode_plan
from server.rpc.requests import (
    require_child_id,
    require_request_id,
    require_search_id,
    require_sequence,
    take_page,
)
from server.rpc.transfer import export_model, read_log

SERVICE = search_service_pb2.DESCRIPTOR.services_by_name["SearchService"]
HEARTBEAT_SECONDS = 10.0
"""Idle time after which a watcher gets a heartbeat."""


class SearchServicer:
    """Answers the calls of the API."""

    def __init__(
        self,
        *,
        registry: Registry,
        hub: Hub,
        files: StateFiles,
        preparation: DataPreparation,
        version: str,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._files = files
        self._preparation = preparation
        self._version = version
        self._heartbeat_seconds = heartbeat_seconds

    async def StartSearch(self, request: pb.StartSearchRequest) -> pb.StartSearchResponse:
        """Start or plan a search."""
        config = decode_config(request.config)
        if request.validate_only:
            return pb.StartSearchResponse(
                plan=encode_plan(await self._registry.plan(config, is_verifying=request.verify_data))
            )
        request_id = require_request_id(request.request_id)
        view = await self._registry.start(
            config, request_id=request_id, principal=CALLER.get().name, is_verifying=request.verify_data
        )
        return pb.StartSearchResponse(search=encode_search(view, is_full=True))

    async def GetSearch(self, request: pb.GetSearchRequest) -> pb.GetSearchResponse:
        """Show one search."""
        view = await self._registry.find(require_search_id(request.search_id))
        return pb.GetSearchResponse(search=encode_search(view, is_full=True))

    async def ListSearches(self, request: pb.ListSearchesRequest) -> pb.ListSearchesResponse:
        """Show searches, newest first."""
        await self._registry.replayed()
        items = [(view.search_id, view) for view in self._registry.views()]
        views, token = take_page(items, page_size=request.page_size, page_token=request.page_token, default=50)
        return pb.ListSearchesResponse(
            searches=[encode_search(view, is_full=False) for view in views], next_page_token=token
        )

    async def WatchSearch(self, request: pb.WatchSearchRequest) -> AsyncGenerator[pb.WatchSearchResponse, None]:
        """Stream events."""
        search_id = require_search_id(request.search_id)
        after = require_sequence(request.after_sequence)
        await self._registry.find(search_id)  # refuses an unknown search
        watch = self._hub.watch(
            search_id,
            after,
            heartbeat_seconds=self._heartbeat_seconds,
            is_last=lambda record: is_terminal(record.payload),
        )
        async with aclosing(watch):  # a client that leaves frees its watch at once, not at garbage collection
            async for item in watch:
                yield _event(item) if isinstance(item, Record) else self._heartbeat(search_id, item)

    async def CancelSearch(self, request: pb.CancelSearchRequest) -> pb.CancelSearchResponse:
        """Cancel a search."""
        view = await self._registry.control(
            require_search_id(request.search_id), commands.CancelSearch(principal=CALLER.get().name)
        )
        return pb.CancelSearchResponse(search=encode_search(view, is_full=True))

    async def PauseSearch(self, request: pb.PauseSearchRequest) -> pb.PauseSearchResponse:
        """Pause a search."""
        view = await self._registry.control(
            require_search_id(request.search_id), commands.PauseSearch(principal=CALLER.get().name)
        )
        return pb.PauseSearchResponse(search=encode_search(view, is_full=True))

    async def ResumeSearch(self, request: pb.ResumeSearchRequest) -> pb.ResumeSearchResponse:
        """Resume a paused search."""
        view = await self._registry.control(
            require_search_id(request.search_id), commands.ResumeSearch(principal=CALLER.get().name)
        )
        return pb.ResumeSearchResponse(search=encode_search(view, is_full=True))

    async def DeleteSearch(self, request: pb.DeleteSearchRequest) -> pb.DeleteSearchResponse:
        """Delete a search that has ended."""
        await self._registry.control(
            require_search_id(request.search_id), commands.DeleteSearch(principal=CALLER.get().name)
        )
        return pb.DeleteSearchResponse()

    async def ExportModel(self, request: pb.ExportModelRequest) -> AsyncGenerator[pb.ExportModelResponse, None]:
        """Stream a trained net."""
        view = await self._registry.find(require_search_id(request.search_id))
        async for response in export_model(view, request, self._files):
            yield response

    async def ReadLog(self, request: pb.ReadLogRequest) -> AsyncGenerator[pb.ReadLogResponse, None]:
        """Stream the log of an attempt."""
        view = await self._registry.find(require_search_id(request.search_id))
        async for response in read_log(view, request, self._files):
            yield response

    async def ListChildren(self, request: pb.ListChildrenRequest) -> pb.ListChildrenResponse:
        """Show the children of a search."""
        search = (await self._registry.find(require_search_id(request.search_id))).search
        items = [(str(child_id), search.children[child_id]) for child_id in sorted(search.children)]
        children, token = take_page(items, page_size=request.page_size, page_token=request.page_token, default=200)
        return pb.ListChildrenResponse(children=[encode_child(child) for child in children], next_page_token=token)

    async def GetChild(self, request: pb.GetChildRequest) -> pb.GetChildResponse:
        """Show one child."""
        search = (await self._registry.find(require_search_id(request.search_id))).search
        child_id = require_child_id(request.child_id)
        if child_id not in search.children:
            raise ChildNotFoundError(request.search_id, child_id)
        return pb.GetChildResponse(child=encode_child_in_full(search.children[child_id], search))

    async def ListDatasets(self, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        """Show the catalogue."""
        return pb.ListDatasetsResponse(datasets=[self._dataset(CATALOGUE[name]) for name in sorted(CATALOGUE)])

    async def CheckDataset(self, request: pb.CheckDatasetRequest) -> pb.CheckDatasetResponse:
        """Look for faults in a folder."""
        return decode_inspection(await self._preparation.check(*decode_check(request)))

    async def GetPreparation(self, request: pb.GetPreparationRequest) -> pb.GetPreparationResponse:
        """Say which data set is being read, and how far."""
        found = self._preparation.progress()
        if found is None:
            return pb.GetPreparationResponse()
        dataset, progress = found
        return pb.GetPreparationResponse(dataset=dataset, done_count=progress.done, total_count=progress.total)

    async def GetServerInfo(self, request: pb.GetServerInfoRequest) -> pb.GetServerInfoResponse:
        """Say which version the server has, and what trains for it."""
        executor = self._registry.executor
        return pb.GetServerInfoResponse(
            version=self._version,
            api=search_service_pb2.DESCRIPTOR.package,
            executor=executor.name,
            worker_count=executor.slots,
        )

    def _heartbeat(self, search_id: str, heartbeat: Heartbeat) -> pb.WatchSearchResponse:
        return pb.WatchSearchResponse(
            heartbeat=pb.Heartbeat(
                sequence=heartbeat.sequence,
                chain_hash=heartbeat.chain,
                time=timestamp(time.time_ns()),
                pause_reason=pause_reason(self._registry.view(search_id)),
            )
        )

    def _dataset(self, info: DatasetInfo) -> pb.Dataset:
        hint = self._preparation.hint(info)
        return pb.Dataset(
            name=info.name,
            summary=info.summary,
            shape=None if info.shape is None else SHAPE.encode(info.shape),
            class_count=info.classes,
            is_available=not hint,
            hint=hint,
        )


def _event(record: Record) -> pb.WatchSearchResponse:
    return pb.WatchSearchResponse(event=event_pb2.Event.FromString(record.payload))
