# SPDX-License-Identifier: Apache-2.0
"""What has to hold after a search has ended, however often its processes were killed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos_observers import Ledger, fingerprint
from chaos_server import ChaosServer

from nas.api.v1 import search_pb2
from nas.api.v1 import search_service_pb2 as pb
from nas.search.digest import digest
from nas.search.evolve import evolve
from nas.search.retention import retained
from nas.search.state import Search
from server.codec.envelope import decode, parse
from server.codec.views import SearchView, encode_search
from server.files import StateFiles
from server.journal.base import Record
from server.journal.sqlite import SqliteJournal


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One search as its journal tells it."""

    records: tuple[Record, ...]
    search: Search
    view: SearchView

    @property
    def hashes(self) -> list[bytes]:
        """Of the events, as an observer of them all would have them."""
        return [fingerprint(parse(record.payload)) for record in self.records]


async def read_histories(state_dir: Path) -> dict[str, History]:
    """Fold every search of a stopped server's folder; opening it proves the chain."""
    journal = await SqliteJournal.inspect(state_dir)
    try:
        heads = await journal.heads()
        return {
            head.search_id: _fold(head.search_id, await journal.read(head.search_id, 0, head.sequence))
            for head in heads
        }
    finally:
        await journal.close()


def _fold(search_id: str, records: tuple[Record, ...]) -> History:
    search = None
    envelopes = [decode(record.payload) for record in records]
    for envelope in envelopes:
        search = evolve(search, envelope.fact)
    assert search is not None
    view = SearchView(
        search_id=search_id,
        search=search,
        sequence=envelopes[-1].sequence,
        created_ns=envelopes[0].time_ns,
        updated_ns=envelopes[-1].time_ns,
        running_seconds=envelopes[-1].running_seconds,
    )
    return History(records=records, search=search, view=view)


async def ask_all(server: ChaosServer) -> dict[str, search_pb2.Search]:
    """What the server says about every search it has."""
    async with server.connect() as stub:
        listed = await stub.ListSearches(pb.ListSearchesRequest(page_size=1000))
        ids = [search.search_id for search in listed.searches]
        assert len(ids) == len(set(ids))
        return {name: (await stub.GetSearch(pb.GetSearchRequest(search_id=name))).search for name in ids}


def require_one_truth(history: History, answer: search_pb2.Search, ledgers: Sequence[Ledger]) -> None:
    """Require that journal, API and every observer have the same events, without gap or repetition."""
    hashes = history.hashes
    assert list(range(1, len(hashes) + 1)) == [record.sequence for record in history.records]
    assert len(hashes) == len(set(hashes))
    assert encode_search(history.view, is_full=True) == answer
    assert digest(history.search) == answer.digest
    for ledger in ledgers:
        assert [] == ledger.violations
        assert ledger.hashes == hashes[: len(ledger.hashes)], f"{ledger.name} was told something else"
        assert ledger.answered <= len(hashes), f"{ledger.name} was told of sequence {ledger.answered}"
        for sequence, chain in ledger.chains.items():
            assert history.records[sequence - 1].chain == chain


def require_tidy(server: ChaosServer, histories: dict[str, History]) -> None:
    """Require that no temporary file is left, and of simulated trainings exactly the weights that are retained."""
    files = [path for path in server.folder.rglob("*") if path.name != ".lock"]
    leftovers = [path for path in files if path.name.startswith(".") or path.suffix == ".tmp"]
    assert [] == leftovers
    state = StateFiles(server.state_dir)
    for search_id, history in histories.items():
        kept = retained(history.search).weights
        for child_id, child in history.search.children.items():
            path = state.weights(search_id, child_id)
            assert not path.exists() or child_id in kept
            if path.exists():
                assert child.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
