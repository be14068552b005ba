# SPDX-License-Identifier: Apache-2.0
"""Watching over the wire: from anywhere, by anybody, to the end, whoever leaves first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import grpc
import pytest
from control_plane import FOREVER, ControlPlane, ObservedExecutor
from memory_journal import MemoryJournal
from served import Served, refused, serving

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_pb2 import PAUSE_REASON_DISK_FULL, PAUSE_REASON_UNSPECIFIED
from server.codec.envelope import decode
from server.journal.base import JournalFullError, Record


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose searches run to their end at once."""
    async with serving(ControlPlane(folder=tmp_path)) as served:
        yield served


def _stuck(folder: Path) -> tuple[ControlPlane, ObservedExecutor]:
    executor = ObservedExecutor(slots=1, epoch_seconds=FOREVER, on_launch=lambda _: None)
    return ControlPlane(folder=folder, executor=executor), executor


class Watch:
    """One open watch."""

    def __init__(self, served: Served, search_id: str, after_sequence: int = 0, timeout: float | None = None) -> None:
        request = pb.WatchSearchRequest(search_id=search_id, after_sequence=after_sequence)
        self.call = served.stub.WatchSearch(request, timeout=timeout)
        self._responses = aiter(self.call)

    async def take(self, count: int) -> list[pb.WatchSearchResponse]:
        """Read so many responses."""
        return [await anext(self._responses) for _ in range(count)]

    async def rest(self) -> list[pb.WatchSearchResponse]:
        """Read to the end."""
        return [response async for response in self._responses]


async def _sequences(served: Served, search_id: str, after_sequence: int = 0) -> list[int]:
    return [response.event.sequence for response in await served.watch(search_id, after_sequence)]


async def test_a_watch_sends_what_was_journaled(served: Served) -> None:
    """Every event as its bytes say, from the first to the terminal one, and then the end with OK."""
    search_id = await served.start()

    received = [response.event for response in await served.watch(search_id)]

    records = await served.plane.journal.read(search_id, 0, 10_000)
    assert [record.payload for record in records] == [event.SerializeToString(deterministic=True) for event in received]
    assert list(range(1, len(records) + 1)) == [event.sequence for event in received]
    assert "search_succeeded" == received[-1].WhichOneof("fact")


@pytest.mark.parametrize("back", [0, 1, 5, 40])
async def test_a_watch_goes_on_from_anywhere(served: Served, back: int) -> None:
    """After a sequence come exactly the later ones; after the last one the watch ends at once."""
    search_id = await served.start()
    last = (await _sequences(served, search_id))[-1]

    resumed = await _sequences(served, search_id, last - back)

    assert list(range(last - back + 1, last + 1)) == resumed


@pytest.mark.parametrize("beyond", [1, 2**62])
async def test_a_watch_beyond_the_head_is_refused(served: Served, beyond: int) -> None:
    """A client that has seen more than there is has seen a future that was lost; the error says how far it goes."""
    search_id = await served.start()
    last = (await _sequences(served, search_id))[-1]

    error = await refused(Watch(served, search_id, last + beyond).rest())

    assert ("OUT_OF_RANGE", "SEQUENCE_AHEAD", {"head": str(last)}) == (error.code, error.reason, error.metadata)


@pytest.mark.parametrize("sequence", [-1, -(2**63)])
async def test_a_watch_from_before_the_beginning_is_refused(served: Served, sequence: int) -> None:
    """There is nothing below 0."""
    search_id = await served.start()

    error = await refused(Watch(served, search_id, sequence).rest())

    assert ("INVALID_ARGUMENT", "INVALID_REQUEST") == (error.code, error.reason)


async def test_watchers_see_the_same(tmp_path: Path) -> None:
    """One that was there from the start, one that came in the middle, one that came after the end."""
    plane, executor = _stuck(tmp_path)
    async with serving(plane) as served:
        search_id = await served.start()
        early = Watch(served, search_id)
        begun = await early.take(9)  # as far as it gets
        late = asyncio.create_task(_sequences(served, search_id, 4))
        executor.take(0.0)
        await served.stub.CancelSearch(pb.CancelSearchRequest(search_id=search_id))

        begun += await early.rest()

        everything = [response.event.sequence for response in begun]
        assert list(range(1, len(everything) + 1)) == everything
        assert everything[4:] == await late
        assert everything == await _sequences(served, search_id)


async def test_a_client_that_leaves_frees_its_watch(tmp_path: Path) -> None:
    """At once, not when somebody cleans up; the search goes on, and so do the other watchers."""
    plane, executor = _stuck(tmp_path)
    async with serving(plane) as served:
        search_id = await served.start()
        stays, leaves = Watch(served, search_id), Watch(served, search_id)
        for watch in (stays, leaves):
            await watch.take(1)
        topic = plane.hub._topics[search_id]
        before = topic.watchers

        leaves.call.cancel()
        await _until(lambda: topic.watchers == 1)

        assert 2 == before
        executor.take(0.0)
        await served.stub.CancelSearch(pb.CancelSearchRequest(search_id=search_id))
        last = (await stays.rest())[-1]
        assert "search_cancelled" == last.event.WhichOneof("fact")


async def test_many_clients_come_and_go(tmp_path: Path) -> None:
    """A hundred watches that are given up in the middle leave nothing behind."""
    plane, _ = _stuck(tmp_path)
    async with serving(plane) as served:
        search_id = await served.start()
        for _ in range(10):
            watches = [Watch(served, search_id) for _ in range(10)]
            await asyncio.gather(*(watch.take(1) for watch in watches))
            for watch in watches:
                watch.call.cancel()

        await _until(lambda: plane.hub._topics[search_id].watchers == 0)

        assert not plane.hub._topics[search_id].ring


async def _until(condition: Callable[[], bool]) -> None:
    """Let both sides of the wire run until something is so; nothing tells when a call of the other side is gone."""
    async with asyncio.timeout(20):
        for _ in iter(condition, True):
            await asyncio.sleep(0.001)


async def test_an_idle_watch_hears_a_sign_of_life(tmp_path: Path) -> None:
    """With the head, its chain and the server's time, again and again; no event is skipped or repeated by it."""
    plane, executor = _stuck(tmp_path)
    async with serving(plane, heartbeat_seconds=0.01) as served:
        search_id = await served.start()
        watch = Watch(served, search_id)
        received = await watch.take(14)
        executor.take(0.0)
        await served.stub.CancelSearch(pb.CancelSearchRequest(search_id=search_id))
        received += await watch.rest()

        beats = [response.heartbeat for response in received if response.WhichOneof("content") == "heartbeat"]
        sequences = [response.event.sequence for response in received if response.WhichOneof("content") == "event"]
        chains = {record.sequence: record.chain for record in await plane.journal.read(search_id, 0, 1000)}

    assert len(beats) >= 5
    assert all(chains[beat.sequence] == beat.chain_hash for beat in beats)
    assert all(beat.time.seconds > 1_700_000_000 for beat in beats)
    assert list(range(1, len(chains) + 1)) == sequences


class FillableJournal(MemoryJournal):
    """A journal whose disk a test fills."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        if self.is_full:
            raise JournalFullError(Path("disk"))
        return await super().append(search_id, expected_sequence, payloads)


async def test_a_sign_of_life_says_that_the_disk_is_full(tmp_path: Path) -> None:
    """No event can say it; with room the search goes on and the signs of life say nothing of it any more."""
    journal = FillableJournal()
    _, executor = _stuck(tmp_path)
    plane = ControlPlane(folder=tmp_path, executor=executor, journal=journal)
    async with serving(plane, heartbeat_seconds=0.01) as served:
        search_id = await served.start()
        watch = Watch(served, search_id)
        before = {beat.pause_reason for beat in await _beats(watch, 5)}
        journal.is_full = True
        cancel = asyncio.ensure_future(served.stub.CancelSearch(pb.CancelSearchRequest(search_id=search_id)))
        async with asyncio.timeout(20):
            while (await _beats(watch, 1))[0].pause_reason != PAUSE_REASON_DISK_FULL:
                pass
        journal.is_full = False
        await cancel
        rest = await watch.rest()

    assert {PAUSE_REASON_UNSPECIFIED} == before
    assert "search_cancelled" == rest[-1].event.WhichOneof("fact")


async def _beats(watch: Watch, count: int) -> list[pb.Heartbeat]:
    beats: list[pb.Heartbeat] = []
    while len(beats) < count:
        (response,) = await watch.take(1)
        beats += [response.heartbeat] if response.HasField("heartbeat") else []
    return beats


async def test_a_watch_over_a_shutdown_can_be_resumed(tmp_path: Path) -> None:
    """It ends as UNAVAILABLE with the last sequence that was sent; from there a watch of the next server goes on."""
    plane, _ = _stuck(tmp_path)
    async with serving(plane) as served:
        search_id = await served.start()
        watch = Watch(served, search_id)
        received = await watch.take(9)
        ending = asyncio.create_task(refused(watch.rest()))
        await served.stop()
        error = await ending
    following = ControlPlane(folder=tmp_path, journal=plane.journal)
    async with serving(following) as served:
        last = int(error.metadata["last_sequence"])
        rest = await _sequences(served, search_id, last)

    assert ("UNAVAILABLE", "SHUTTING_DOWN", received[-1].event.sequence) == (error.code, error.reason, last)
    assert list(range(last + 1, last + len(rest) + 1)) == rest
    history = await following.events(search_id)
    assert rest[-1] == history[-1].sequence


async def test_a_slow_watcher_holds_up_nobody(served: Served) -> None:
    """It has read nothing when the search ends, and gets everything afterwards."""
    search_id = await served.start()
    slow = Watch(served, search_id)
    fast = await _sequences(served, search_id)

    received = [response.event.sequence for response in await slow.rest()]

    assert fast == received


async def test_a_deadline_of_the_client_ends_only_its_own_watch(tmp_path: Path) -> None:
    """The call ends with DEADLINE_EXCEEDED, its place is free, and the search runs on."""
    plane, _ = _stuck(tmp_path)
    async with serving(plane) as served:
        search_id = await served.start()

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Watch(served, search_id, timeout=0.1).rest()

        assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
        await _until(lambda: plane.hub._topics[search_id].watchers == 0)
        assert not plane.registry.view(search_id).search.state.is_terminal


async def test_events_on_the_wire_are_those_of_the_domain(served: Served) -> None:
    """Whatever a watcher receives is what a replay would read."""
    search_id = await served.start()

    received = [decode(response.event.SerializeToString()) for response in await served.watch(search_id)]

    assert await served.plane.events(search_id) == received
