# SPDX-License-Identifier: Apache-2.0
"""Whatever a search is told, in whatever order: its facts are legal, it is never stuck, and replay knows no more."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from search_driver import RUNTIME, UNCOUNTED, Driver, make_config, make_evaluation, make_lost, make_result, make_start
from search_invariants import Files, check_all

from nas.blocks import BlockType
from nas.child import ChildId, EpochResult
from nas.config import SearchConfig, TrainingConfig
from nas.recipe import Finish
from nas.search import commands, events
from nas.search.control import RejectedError
from nas.search.evolve import replay
from nas.search.machine import Work, pending_work, running_attempts
from nas.search.reasons import FailureReason, LostReason
from nas.search.state import Child, SearchState
from nas.search.strategies import STRATEGIES

LOSSES = [*(0.1 * tenth for tenth in range(1, 15)), math.nan, math.inf, -math.inf]
INITIALS = ["", "C(8,28) F() FC(2)", "P(1,1) P(1,1) F() FC(2)"]

CANCELLED = ["never", "never", "any time", "at the end"]
configs = st.builds(
    make_config,
    seed=st.integers(0, 3),
    block=st.sampled_from(BlockType),
    initial=st.sampled_from(INITIALS),
    max_iterations=st.integers(2, 4),
    max_attempts=st.integers(1, 3),
    max_failed_children=st.integers(1, 12),
    max_parameters=st.sampled_from([410_000, 50_000_000]),
    training=st.builds(TrainingConfig, max_epochs=st.integers(1, 3)),
    finish=st.sampled_from(Finish),
)
correct_counts = st.integers(58, 62)
rarely = st.integers(0, 4).map(lambda number: number == 4)


def measured(_: SearchConfig, child: Child, epoch: int) -> EpochResult:
    """Measure as if nets were good or bad by chance, so that accuracies rise, tie and decline."""
    return make_result(epoch, correct=58 + int(child.graph_hash, 16) % 5)


class AnyCommands(RuleBasedStateMachine):
    """A search, a clumsy server and careless workers."""

    strategy: ClassVar[str]

    @initialize(config=configs, cancelled=st.sampled_from(CANCELLED), may_run_out_of_time=rarely)
    def begin(self, config: Any, cancelled: str, may_run_out_of_time: bool) -> None:
        self.cancelled = cancelled
        self.may_run_out_of_time = may_run_out_of_time
        self.driver = Driver(replace(config, strategy=self.strategy), measured)
        self.files = Files()

    def send(self, command: commands.Command) -> tuple[events.Event, ...]:
        """Carry a command out; one that is refused or without facts changes nothing."""
        before = self.driver.search
        try:
            facts = self.driver.send(command)
        except RejectedError:
            facts = ()
        if not facts:
            assert before is self.driver.search
        assert not before.state.is_terminal or [*facts] in ([], [events.SearchDeleted(principal="")])
        self.files.follow(self.driver.search, facts)
        return facts

    def draw_out(self, data: st.DataObject) -> Work:
        return data.draw(st.sampled_from(running_attempts(self.driver.search)))

    @rule(iteration=st.integers(0, 3), index=st.integers(1, 9))
    def launch_anything(self, iteration: int, index: int) -> None:
        """Only what is pending is launched."""
        child_id = ChildId(iteration, index)
        is_waiting = any(
            work.child_id == child_id and work.attempt is None for work in pending_work(self.driver.search)
        )

        facts = self.send(commands.LaunchAttempt(child_id=child_id))

        assert is_waiting == bool(facts)

    @precondition(lambda self: any(work.attempt is None for work in pending_work(self.driver.search)))
    @rule(data=st.data())
    def launch_what_is_pending(self, data: st.DataObject) -> None:
        waiting = [work for work in pending_work(self.driver.search) if work.attempt is None]

        assert self.send(commands.LaunchAttempt(child_id=data.draw(st.sampled_from(waiting)).child_id))

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), resumed=st.integers(0, 3))
    def report_a_start(self, data: st.DataObject, resumed: int) -> None:
        work = self.draw_out(data)
        command = commands.ReportStarted(**whose(work), runtime=RUNTIME, resumed_after_epoch=resumed)
        self.send(command)

        assert () == self.send(command)

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), ahead=st.sampled_from([-1, 0, 1, 1, 1, 1, 2]), correct=correct_counts)
    def report_an_epoch(self, data: st.DataObject, ahead: int, correct: int) -> None:
        work = self.draw_out(data)
        epoch = len(self.driver.search.children[work.child_id].epochs) + ahead
        loss, training_loss = data.draw(st.sampled_from(LOSSES)), data.draw(st.sampled_from(LOSSES))
        result = make_result(epoch, correct=correct, loss=loss, training_loss=training_loss)
        command = commands.ReportEpoch(**whose(work), result=result)
        self.send(command)

        assert () == self.send(command)

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), extra=st.sampled_from([0, 0, 0, 1]), correct=correct_counts, loss=st.sampled_from(LOSSES))
    def report_a_training(self, data: st.DataObject, extra: int, correct: int, loss: float) -> None:
        work = self.draw_out(data)
        epochs = len(self.driver.search.children[work.child_id].epochs) + extra
        self.send(
            commands.ReportTrained(
                **whose(work),
                epochs=epochs,
                best_epoch=data.draw(st.integers(0, epochs)),
                is_stopped_early=False,
                evaluation=make_evaluation(correct, loss=loss),
                weights_sha256="a" * 64,
            )
        )

        assert work not in running_attempts(self.driver.search)

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), loss=st.sampled_from(LOSSES))
    def report_an_evaluation(self, data: st.DataObject, loss: float) -> None:
        work = self.draw_out(data)
        self.send(commands.ReportEvaluated(**whose(work), evaluation=make_evaluation(50, loss=loss)))

        assert work not in running_attempts(self.driver.search)

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), reason=st.sampled_from(FailureReason))
    def report_a_failure(self, data: st.DataObject, reason: FailureReason) -> None:
        work = self.draw_out(data)
        self.send(commands.ReportFailed(**whose(work), reason=reason, detail="failed"))

        assert work not in running_attempts(self.driver.search)

    @precondition(lambda self: bool(running_attempts(self.driver.search)))
    @rule(data=st.data(), reason=st.sampled_from(LostReason))
    def report_a_loss(self, data: st.DataObject, reason: LostReason) -> None:
        work = self.draw_out(data)
        self.send(make_lost(work, reason))

        assert work not in running_attempts(self.driver.search)

    @rule(data=st.data())
    def repeat_a_report(self, data: st.DataObject) -> None:
        """What an attempt says that is over, or that never was, is ignored."""
        reports = [command for command, _ in self.driver.log if isinstance(command, commands.Report)]
        if reports:
            report = data.draw(st.sampled_from(reports))
            out = {(work.child_id, work.attempt) for work in running_attempts(self.driver.search)}

            facts = self.send(report)

            assert (report.child_id, report.attempt) in out or facts == ()

    @precondition(lambda self: bool(pending_work(self.driver.search)))
    @rule(count=st.sampled_from([1, 3, 8]))
    def work_off(self, count: int) -> None:
        """Let honest workers finish some of what is pending."""
        self.restart(LostReason.SERVER_RESTARTED)
        for work in pending_work(self.driver.search)[:count]:
            self.send(commands.LaunchAttempt(child_id=work.child_id))
            for out in running_attempts(self.driver.search):
                for report in list(self.driver.reports(out)):
                    self.send(report)

    @rule(reason=st.sampled_from(UNCOUNTED))
    def restart(self, reason: LostReason) -> None:
        """Every running attempt is lost, and none counts against its child."""
        lost = [child.lost_attempts for child in self.driver.search.children.values()]
        for work in running_attempts(self.driver.search):
            self.send(make_lost(work, reason))

        assert lost == [child.lost_attempts for child in self.driver.search.children.values()][: len(lost)]
        assert not running_attempts(self.driver.search)

    @rule()
    def crash(self) -> None:
        """The server forgets everything and reads its facts again."""
        recovered = replay(self.driver.facts)
        assert recovered == self.driver.search
        self.driver.search = recovered

    @rule()
    def start_again(self) -> None:
        assert () == self.send(make_start(self.driver.config))

    @precondition(lambda self: self.may_run_out_of_time)
    @rule()
    def reach_the_time_budget(self) -> None:
        self.send(commands.ReachTimeBudget())

        assert () == self.send(commands.ReachTimeBudget())

    @property
    def may_be_cancelled(self) -> bool:
        return self.cancelled == "any time" or (self.cancelled == "at the end" and bool(self.driver.search.evaluation))

    @precondition(lambda self: self.may_be_cancelled)
    @rule()
    def cancel(self) -> None:
        self.send(commands.CancelSearch())

        assert () == self.send(commands.CancelSearch())
        assert SearchState.RUNNING is not self.driver.search.state

    @rule()
    def pause(self) -> None:
        """Nothing more is launched; a running attempt goes on until it is lost or has an outcome."""
        with contextlib.suppress(RejectedError):
            self.driver.send(commands.PauseSearch())

        assert () == pending_work(self.driver.search) or self.driver.search.state.is_terminal
        assert () == self.send(commands.PauseSearch())

    @rule()
    def resume(self) -> None:
        self.send(commands.ResumeSearch())

        assert () == self.send(commands.ResumeSearch())
        assert self.driver.search.state not in (SearchState.PAUSING, SearchState.PAUSED)

    @rule()
    def delete(self) -> None:
        """Only what has ended can be deleted, and once."""
        has_ended = self.driver.search.state.is_terminal
        self.send(commands.DeleteSearch())

        assert has_ended == (SearchState.DELETED is self.driver.search.state)

    @invariant()
    def invariants_hold(self) -> None:
        check_all(self.driver)

    def teardown(self) -> None:
        """Honest workers bring every search to its end, with one attempt for each child that is left."""
        if not hasattr(self, "driver"):
            return
        self.restart(LostReason.SERVER_RESTARTED)
        self.send(commands.ResumeSearch())
        launched = len(self.driver.of(events.AttemptLaunched))
        self.driver.run()

        assert self.driver.search.state.is_terminal
        launched = len(self.driver.of(events.AttemptLaunched)) - launched
        assert launched <= len(self.driver.search.children) + 1
        assert self.strategy != "paper" or launched <= 8 * self.driver.config.max_iterations + 3
        assert replay(self.driver.facts) == self.driver.search


def whose(work: Work) -> dict[str, Any]:
    """Child and attempt."""
    return {"child_id": work.child_id, "attempt": work.attempt}


@pytest.mark.timeout(600)  # only a failure takes that long: Hypothesis looks for the shortest story
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_any_commands(strategy: str) -> None:
    """Two hundred stories of sixty steps for each strategy; Hypothesis tells the shortest one that goes wrong."""
    machine = type("AnyCommands", (AnyCommands,), {"strategy": strategy})
    run_state_machine_as_test(machine, settings=settings(max_examples=200, stateful_step_count=60, deadline=None))
