# SPDX-License-Identifier: Apache-2.0
"""What the live view shows, folded from events: pure, so that it is tested without a terminal.

It holds the children of the current iteration or stage only, so it stays small however long a search gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from client.phrases import block_name
from nas.api.v1 import search_pb2

NOTE_LIMIT = 50
QUIET_SECONDS = 0.5
"""After this long without an event, what came before was the past and what comes next is news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRow:
    """One child.

    Attributes:
        origin: the transformation with its arguments.
        state: a ``Child.State``.
        epochs: done; the attempt at work counts those that it took over from a checkpoint.
        evaluation: of the last epoch while it trains, then of the one whose weights were kept.
        attempt: the last one; 0 before the first.
        device: what the attempt runs on, and its number format.
        images_per_second: of the last epoch; 0 before the first of an attempt.
    """

    child_id: str
    parent_id: str = ""
    origin: str = ""
    notation: str = ""
    param_count: int = 0
    state: int = search_pb2.Child.STATE_PROPOSED
    epochs: int = 0
    evaluation: search_pb2.Evaluation | None = None
    attempt: int = 0
    device: str = ""
    images_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """One search.

    Attributes:
        sequence: of the last event; 0 before the first.
        running_seconds: running time at the last event.
        event_seconds: when the last event was journaled, by the server's clock.
        arrived: when the last event came, by this machine's clock; None if the next one may be old.
        clock_offset: seconds that this machine's clock is ahead of the server's, as far as known.
        lost_since: when the connection was lost; None while there is one.
        pause_reason: why the search does not get on although nobody has asked it to wait, a ``PauseReason``.
        train_images: number of images in the training part.
        is_finishing: whether the children are those of the finishing stage.
        children: of the current iteration, or of the finishing stage.
        incumbent: the best child so far, as of the last selection.
        test_evaluation: of the winner.
        testing_id: the child that is being evaluated on the test part; empty for none.
        selected_iteration: the one that ``choices`` are about.
        choices: what was chosen last and why, a sentence each.
        notes: the latest ``NOTE_LIMIT`` lines worth knowing, oldest first.
    """

    search_id: str
    sequence: int = 0
    running_seconds: float = 0.0
    event_seconds: float = 0.0
    arrived: float | None = None
    clock_offset: float = 0.0
    lost_since: float | None = None
    state: int = search_pb2.Search.STATE_UNSPECIFIED
    pause_reason: int = search_pb2.PAUSE_REASON_UNSPECIFIED
    config: search_pb2.SearchConfig = field(default_factory=search_pb2.SearchConfig)
    warnings: tuple[str, ...] = ()
    train_images: int = 0
    iteration: int = 0
    is_finishing: bool = False
    children: tuple[ChildRow, ...] = ()
    incumbent: ChildRow | None = None
    test_evaluation: search_pb2.Evaluation | None = None
    testing_id: str = ""
    selected_iteration: int = 0
    choices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_at_work(self) -> bool:
        """Whether an attempt is out."""
        return bool(self.testing_id) or any(row.state == search_pb2.Child.STATE_RUNNING for row in self.children)

    @property
    def block(self) -> str:
        """The block as ``--block`` names it."""
        return block_name(self.config.block)

    @property
    def budget_seconds(self) -> int:
        """The time budget; 0 for none."""
        return self.config.time_budget.seconds

    def elapsed_seconds(self, now: float) -> float:
        """Running time at ``now`` by this machine's clock; it stands still while nothing runs or nobody knows."""
        if self.arrived is None or not self.is_at_work:
            return self.running_seconds
        now = now if self.lost_since is None else self.lost_since
        since = now - self.arrived
        if since > QUIET_SECONDS:
            since = now - self.clock_offset - self.event_seconds
        return self.running_seconds + max(0.0, since)
