# SPDX-License-Identifier: Apache-2.0
"""A state folder as a server leaves it: events of whole searches, interleaved, and the weights that they name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from search_driver import Driver

from nas.child import ChildId
from nas.search.events import ChildSucceeded, Event
from nas.search.retention import retained
from nas.search.simulation import simulated_weights
from server.codec.envelope import Envelope, encode
from server.files import StateFiles
from server.journal.recovery import open_store
from server.journal.store import Append

Weights = Callable[[Driver, ChildId], bytes]

NAMES = ("journal.db", "journal.db-wal", "journal.head")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What lies in a state folder.

    Attributes:
        groups: the payloads of each search, as one tuple a command.
        order: search of each record, by position.
    """

    groups: Mapping[str, tuple[tuple[bytes, ...], ...]]
    order: tuple[str, ...]

    def payloads(self, search_id: str) -> tuple[bytes, ...]:
        """All events of a search."""
        return tuple(payload for group in self.groups[search_id] for payload in group)

    def whole_commands(self, search_id: str) -> tuple[int, ...]:
        """The sequences at which a command's facts are complete."""
        lengths = [0]
        for group in self.groups[search_id]:
            lengths.append(lengths[-1] + len(group))
        return tuple(lengths)


def write_state(
    folder: Path, drivers: Mapping[str, Driver], *, is_closed: bool = True, is_simulated: bool = False
) -> Written:
    """Journal the searches in turns, one transaction per command, and write the weights that are retained.

    Args:
        folder: made here.
        drivers: searches by id.
        is_closed: whether the server ended well; else most records are in the log, as after a kill.
        is_simulated: whether the executor was ``fake``, which writes no weights.
    """
    make = simulated_weights_of if is_simulated else weights_of
    groups = {search_id: tuple(_encode(search_id, driver, make)) for search_id, driver in drivers.items()}
    live = folder if is_closed else folder.with_name(f"{folder.name}-live")
    store = open_store(live)
    heads = dict.fromkeys(groups, 0)
    order: list[str] = []
    for number, turn in enumerate(zip_longest(*groups.values(), fillvalue=())):
        for search_id, payloads in zip(groups, turn, strict=True):
            store.commit([Append(search_id=search_id, expected_sequence=heads[search_id], payloads=payloads)])
            heads[search_id] += len(payloads)
            order += [search_id] * len(payloads)
        if number == 5:
            store.tidy(limit_pages=0)
    if not is_closed:
        shutil.copytree(live, folder)
    store.close()
    if not is_simulated:
        for search_id, driver in drivers.items():
            _write_weights(StateFiles(folder), search_id, driver)
    return Written(groups=groups, order=tuple(order))


def _write_weights(files: StateFiles, search_id: str, driver: Driver) -> None:
    for child_id in retained(driver.search).weights:
        if driver.search.children[child_id].evaluation is not None:
            path = files.weights(search_id, child_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(weights_of(driver, child_id))


def weights_of(driver: Driver, child_id: ChildId) -> bytes:
    """Bytes in place of the weights of a child."""
    return f"weights of {child_id} with seed {driver.config.seed}".encode()


def simulated_weights_of(driver: Driver, child_id: ChildId) -> bytes:
    """What the executor ``fake`` says the weights would be."""
    return simulated_weights(search_seed=driver.config.seed, graph_hash=driver.search.children[child_id].graph_hash)


def with_weights(driver: Driver, fact: Event, make: Weights = weights_of) -> Event:
    """Return a fact of the driver with the SHA-256 of weights that there are."""
    if not isinstance(fact, ChildSucceeded):
        return fact
    return replace(fact, weights_sha256=hashlib.sha256(make(driver, fact.child_id)).hexdigest())


def _encode(search_id: str, driver: Driver, make: Weights) -> Iterator[tuple[bytes, ...]]:
    """Yield what each command led to."""
    sequence = 0
    for number, (_, facts) in enumerate(driver.log):
        if isinstance(facts, str) or not facts:
            continue
        payloads = []
        for fact in facts:
            sequence += 1
            envelope = Envelope(
                search_id=search_id,
                sequence=sequence,
                time_ns=1_700_000_000_000_000_000 + number,
                running_seconds=float(number),
                fact=with_weights(driver, fact, make),
            )
            payloads.append(encode(envelope))
        yield tuple(payloads)
