# SPDX-License-Identifier: Apache-2.0
"""What every journal promises, asked of each implementation by the same suite."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from memory_journal import MemoryJournal

from server.journal.base import Head, Journal, JournalClosedError, Record, SequenceConflictError
from server.journal.chain import GENESIS, link
from server.journal.sqlite import SqliteJournal
from server.rpc.servicer import SERVICE
from server.sinks.metrics import Metrics
from server.sinks.timed_journal import TimedJournal


def _follow_chain(records: list[Record]) -> int:
    """Return how many records one chain from the genesis runs through, whatever the order of their searches."""
    waiting = {(record.search_id, record.sequence): record for record in records}
    heads = dict.fromkeys((record.search_id for record in records), 0)
    position, chain = 0, GENESIS
    while True:
        for search_id, head in heads.items():
            record = waiting.get((search_id, head + 1))
            if record and record.chain == link(
                chain, position=position + 1, search_id=search_id, sequence=head + 1, payload=record.payload
            ):
                position, chain, heads[search_id] = position + 1, record.chain, head + 1
                break
        else:
            return position


class JournalContract(ABC):
    """The suite; an implementation says how to make an empty journal."""

    @abstractmethod
    async def make(self, folder: Path) -> Journal:
        """Return an empty journal that may use the folder."""

    @pytest.fixture
    async def journal(self, tmp_path: Path) -> AsyncIterator[Journal]:
        """An empty journal, closed in the end."""
        journal = await self.make(tmp_path)
        yield journal
        await journal.close()

    async def test_an_empty_journal_knows_no_search(self, journal: Journal) -> None:
        """It has no heads, and reading an unknown search finds nothing."""
        assert () == await journal.heads()
        assert () == await journal.read("a", 0, 10)

    async def test_records_are_numbered_from_one_without_a_gap(self, journal: Journal) -> None:
        """Each append goes on where the one before it ended, and what it returned is what is read."""
        first = await journal.append("a", 0, [b"x"])
        second = await journal.append("a", 1, [b"y", b"z"])

        assert [(1, b"x"), (2, b"y"), (3, b"z")] == [(record.sequence, record.payload) for record in first + second]
        assert first + second == await journal.read("a", 0, 10)

    async def test_searches_are_numbered_on_their_own(self, journal: Journal) -> None:
        """Heads come in the order of the searches' first appends, however often they are appended to."""
        for search_id, expected in (("b", 0), ("a", 0), ("b", 1), ("c", 0), ("a", 1)):
            await journal.append(search_id, expected, [search_id.encode()])

        assert (
            Head(search_id="b", sequence=2),
            Head(search_id="a", sequence=2),
            Head(search_id="c", sequence=1),
        ) == await journal.heads()
        assert {b"a"} == {record.payload for record in await journal.read("a", 0, 10)}

    @pytest.mark.parametrize(("search_id", "expected", "head"), [("a", 0, 2), ("a", 1, 2), ("a", 3, 2), ("b", 1, 0)])
    async def test_a_wrong_expectation_is_refused(
        self, journal: Journal, search_id: str, expected: int, head: int
    ) -> None:
        """The error says where the search is, and nothing was written."""
        before = await journal.append("a", 0, [b"x", b"y"])

        with pytest.raises(SequenceConflictError) as caught:
            await journal.append(search_id, expected, [b"p", b"q"])

        assert (search_id, expected, head) == (caught.value.search_id, caught.value.expected, caught.value.head)
        assert before == await journal.read("a", 0, 10)
        assert (Head(search_id="a", sequence=2),) == await journal.heads()

    async def test_an_append_of_nothing_only_checks(self, journal: Journal) -> None:
        """Without payloads no search comes into being, and a wrong expectation is still refused."""
        assert () == await journal.append("a", 0, [])
        assert () == await journal.heads()
        with pytest.raises(SequenceConflictError):
            await journal.append("a", 1, [])

    @pytest.mark.parametrize("payload", [b"", b"\0", bytes(range(256)), b"x" * 1_048_576], ids=len)
    async def test_payloads_are_opaque(self, journal: Journal, payload: bytes) -> None:
        """Any bytes come back as they were given."""
        await journal.append("a", 0, [payload])

        (record,) = await journal.read("a", 0, 1)

        assert payload == record.payload

    async def test_one_chain_runs_through_all_searches(self, journal: Journal) -> None:
        """Each record's chain is the hash of the one before it, of whichever search, and of all that it holds."""
        records = await journal.append("a", 0, [b"x"]) + await journal.append("ä", 0, [b"y", b""])
        records += await journal.append("a", 1, [b"z"])

        expected = [GENESIS]
        for position, record in enumerate(records, start=1):
            numbers = {"position": position, "sequence": record.sequence}
            expected.append(link(expected[-1], **numbers, search_id=record.search_id, payload=record.payload))
        assert expected[1:] == [record.chain for record in records]

    @pytest.mark.parametrize(
        ("after", "limit", "expected"), [(0, 2, [1, 2]), (2, 2, [3, 4]), (4, 2, [5]), (5, 2, []), (9, 1, [])]
    )
    async def test_reads_are_windows(self, journal: Journal, after: int, limit: int, expected: list[int]) -> None:
        """A read returns what lies after the sequence, up to the limit, in order."""
        await journal.append("a", 0, [b"x"] * 5)

        records = await journal.read("a", after, limit)

        assert expected == [record.sequence for record in records]

    @pytest.mark.parametrize(("after", "limit"), [(-1, 1), (0, 0), (0, -1)])
    async def test_a_senseless_read_is_refused(self, journal: Journal, after: int, limit: int) -> None:
        """No negative sequence, no empty window."""
        with pytest.raises(ValueError, match="a read takes"):
            await journal.read("a", after, limit)

    async def test_a_search_id_that_is_no_text_is_refused(self, journal: Journal) -> None:
        """A lone surrogate is its caller's fault alone: the journal works on."""
        with pytest.raises(UnicodeEncodeError):
            await journal.append("\ud800", 0, [b"x"])

        (record,) = await journal.append("a", 0, [b"x"])

        assert 1 == _follow_chain([record])

    async def test_of_racing_appends_one_wins(self, journal: Journal) -> None:
        """All expected the same sequence: one set of records is there, and the others know."""
        outcomes = await asyncio.gather(
            *(journal.append("a", 0, [b"%d" % index] * 3) for index in range(20)), return_exceptions=True
        )

        winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert [True] * 19 == [type(o) is SequenceConflictError for o in outcomes if isinstance(o, BaseException)]
        assert winners == [await journal.read("a", 0, 100)]

    async def test_a_conflict_leaves_its_neighbours_alone(self, journal: Journal) -> None:
        """Appends that are asked for together fail or succeed each on its own."""
        outcomes = await asyncio.gather(
            *(journal.append(f"search-{index}", index % 2, [b"x"]) for index in range(40)), return_exceptions=True
        )

        assert [index % 2 == 1 for index in range(40)] == [isinstance(o, SequenceConflictError) for o in outcomes]
        assert [f"search-{index}" for index in range(0, 40, 2)] == [head.search_id for head in await journal.heads()]

    async def test_a_cancelled_append_is_whole(self, journal: Journal) -> None:
        """Whoever waits may be cancelled; what was asked for happens all the same."""
        tasks = [asyncio.create_task(journal.append(f"search-{index}", 0, [b"x"] * 3)) for index in range(20)]
        await asyncio.sleep(0)  # each has made its call now

        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert [3] * 20 == [head.sequence for head in await journal.heads()]

    async def test_close_comes_after_what_was_asked_before(self, journal: Journal) -> None:
        """Appends under way are answered; whatever is asked later is refused, but closing again."""
        task = asyncio.create_task(journal.append("a", 0, [b"x"]))
        await asyncio.sleep(0)

        await journal.close()
        await journal.close()

        assert [1] == [record.sequence for record in await task]
        for call in (journal.append("a", 1, [b"y"]), journal.read("a", 0, 1), journal.heads()):
            with pytest.raises(JournalClosedError):
                await call

    @pytest.mark.parametrize("seed", range(5))
    async def test_any_history_is_what_a_dictionary_of_lists_would_say(self, journal: Journal, seed: int) -> None:
        """Random groups of racing appends, right and wrong, agree with a model, and one chain runs through them."""
        draw = random.Random(seed)
        model: dict[str, list[bytes]] = {}
        for _ in range(30):
            wanted = []
            for search_id in draw.sample("abcdefgh", draw.randint(1, 8)):
                head = len(model.get(search_id, ()))
                expected = max(0, head + draw.choice((0, 0, 0, -1, 1)))
                wanted.append(
                    (search_id, expected, [draw.randbytes(draw.randint(0, 9)) for _ in range(draw.randint(0, 4))])
                )
            outcomes = await asyncio.gather(*(journal.append(*one) for one in wanted), return_exceptions=True)
            for (search_id, expected, payloads), outcome in zip(wanted, outcomes, strict=True):
                assert (expected == len(model.get(search_id, ()))) == isinstance(outcome, tuple)
                if isinstance(outcome, tuple) and payloads:
                    model.setdefault(search_id, []).extend(payloads)

        read = {search_id: await journal.read(search_id, 0, 1000) for search_id in model}

        assert model == {search_id: [record.payload for record in records] for search_id, records in read.items()}
        assert list(model) == [head.search_id for head in await journal.heads()]
        records = [record for found in read.values() for record in found]
        assert len(records) == _follow_chain(records)


class TestMemoryJournal(JournalContract):
    """The journal without a disk."""

    async def make(self, folder: Path) -> Journal:
        return MemoryJournal()


class TestSqliteJournal(JournalContract):
    """The durable journal."""

    async def make(self, folder: Path) -> Journal:
        return await SqliteJournal.open(folder / "state")


class TestTimedJournal(JournalContract):
    """The journal that says how long appends took."""

    async def make(self, folder: Path) -> Journal:
        return TimedJournal(MemoryJournal(), Metrics(SERVICE).service)
