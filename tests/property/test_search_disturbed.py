# SPDX-License-Identifier: Apache-2.0
"""A search that is disturbed at every turn finds what the undisturbed one finds; one in which everything fails ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_cluster import Cluster
from search_driver import (
    UNCOUNTED,
    Driver,
    Fails,
    Faults,
    Loses,
    attempt_reports,
    make_config,
    scripted,
    simulated,
)
from search_invariants import check_all, check_files

from nas.assessment import Assessed
from nas.blocks import BlockType
from nas.child import EpochResult
from nas.config import SearchConfig, TrainingConfig
from nas.recipe import Finish
from nas.search import commands, events
from nas.search.digest import canonical_result, digest
from nas.search.machine import Work
from nas.search.reasons import FailureReason, LostReason
from nas.search.state import Child, ChildState, Search, SearchState
from nas.search.strategies import STRATEGIES

MOST_DISTURBANCES = 150
COUNTED = [reason for reason in LostReason if reason not in UNCOUNTED]

configs = st.builds(
    make_config,
    seed=st.integers(0, 2**63 - 1),
    block=st.sampled_from(BlockType),
    initial=st.sampled_from(["", "C(8,28) F() FC(2)"]),
    max_iterations=st.integers(1, 3),
    max_attempts=st.just(100),
    max_parameters=st.sampled_from([410_000, 50_000_000]),
    training=st.builds(TrainingConfig, max_epochs=st.integers(1, 4)),
    finish=st.sampled_from(Finish),
)


@dataclass(slots=True)
class Disturber:
    """Workers die, lose their checkpoints and are late; the server dies, waits, repeats itself and is asked again."""

    cluster: Cluster
    chance: random.Random
    disturbances: int = 0
    out_of_memory: set[str] = field(default_factory=set)

    def run(self) -> Driver:
        """Disturb the search until it has ended."""
        while not self.cluster.is_over:
            self.reconcile()
            if self.disturbances < MOST_DISTURBANCES and self.chance.random() < 0.25:
                self.disturbances += 1
                self.chance.choice([self.lose, self.restart, self.pause, self.say_again, self.start_again])()
            elif self.cluster.running:
                self.cluster.advance(self.chance.randrange(self.cluster.slots))
        return self.cluster.driver

    def reconcile(self) -> None:
        """Launch what is pending; now and then a worker finds no checkpoint and begins at the first epoch."""
        known = set(self.cluster.running)
        self.cluster.reconcile()
        for work in [work for work in self.cluster.running if work not in known]:
            if self.chance.random() < 0.2:
                self.cluster.running[work] = self.reports_from_the_first(work)

    def reports_from_the_first(self, work: Work) -> Iterator[commands.Report]:
        driver = self.cluster.driver
        return attempt_reports(driver.search, work, driver.measure, has_checkpoint=False)

    def lose(self) -> None:
        """A worker ends; for want of memory at most once a child, because twice is the child's end."""
        if not self.cluster.running:
            return
        work = self.chance.choice(list(self.cluster.running))
        reason = self.chance.choice(list(LostReason))
        if reason is LostReason.OUT_OF_MEMORY:
            if str(work.child_id) in self.out_of_memory:
                return
            self.out_of_memory.add(str(work.child_id))
        self.cluster.lose(work, reason)

    def restart(self) -> None:
        self.cluster.restart()

    def pause(self) -> None:
        """The workers end at a checkpoint; some time later, after a restart or not, the search goes on."""
        self.cluster.driver.send(commands.PauseSearch())
        self.cluster.reconcile()
        assert SearchState.PAUSED is self.cluster.driver.search.state
        if self.chance.random() < 0.5:
            self.cluster.restart()
        self.cluster.driver.send(commands.ResumeSearch())

    def say_again(self) -> None:
        """Reports come twice, or long after their attempt is over."""
        driver = self.cluster.driver
        said = [command for command, _ in driver.log if isinstance(command, commands.Report)]
        for report in self.chance.sample(said, min(3, len(said))):
            is_news = (report.child_id, report.attempt) in {(w.child_id, w.attempt) for w in self.cluster.running}
            if not is_news:
                assert () == driver.send(report)

    def start_again(self) -> None:
        """A client that does not know asks for work that is running already."""
        for work in self.cluster.running:
            assert () == self.cluster.driver.send(commands.LaunchAttempt(child_id=work.child_id))


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=150, deadline=None)
@given(config=configs, slots=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_a_disturbed_search_finds_the_same(strategy: str, config: SearchConfig, slots: int, seed: int) -> None:
    """Whatever dies, and however many workers there are, children, selections, winner and digest are the same."""
    chance = random.Random(seed)
    config = replace(config, strategy=strategy)

    def measure(config: SearchConfig, child: Child, epoch: int) -> EpochResult:
        return replace(simulated(config, child, epoch), seconds=chance.random(), images_per_second=chance.random())

    undisturbed = Driver(config).run()

    disturbed = Disturber(Cluster(Driver(config, measure), slots), chance).run()

    check_all(disturbed)
    check_files(disturbed)
    assert canonical_result(undisturbed) == canonical_result(disturbed.search)
    assert digest(undisturbed) == digest(disturbed.search)
    assert _tested(undisturbed) == _tested(disturbed.search)
    assert strategy != "paper" or _tested(undisturbed) is not None  # others may find no child at all


def _tested(search: Search) -> Assessed | None:
    return search.evaluation.result if search.evaluation is not None else None


attempt_faults = st.one_of(
    st.builds(Loses, st.sampled_from(COUNTED), st.integers(0, 2)),
    st.builds(Fails, st.sampled_from(FailureReason), st.integers(0, 2)),
)
faults = st.dictionaries(
    st.tuples(
        st.builds("{}-{}".format, st.integers(1, 3), st.integers(1, 8)),
        st.integers(1, 3),
    ),
    attempt_faults,
    max_size=60,
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=150, deadline=None)
@given(
    faults=faults,
    correct=st.dictionaries(st.sampled_from(["1", "2", "3", "1-2", "2-1", "2-7", "3-4"]), st.integers(40, 60)),
    max_attempts=st.integers(1, 3),
    max_failed_children=st.integers(1, 9),
    max_iterations=st.integers(1, 3),
    finish=st.sampled_from(Finish),
)
def test_every_search_ends(strategy: str, faults: Faults, correct: dict[str, int], finish: Finish, **caps: int) -> None:
    """Whatever fails, and however good children are: a terminal state within the caps, and no file is missed."""
    driver = Driver(make_config(strategy=strategy, finish=finish, **caps), scripted(correct), faults)

    driver.run()

    check_all(driver)
    check_files(driver)
    launched = Counter(fact.child_id for fact in driver.of(events.AttemptLaunched))
    winner = driver.search.evaluation.child_id if driver.search.evaluation is not None else None
    finishing = driver.search.finishing_children
    searched = [child for child in driver.search.children.values() if child not in finishing]
    failed = [child for child in searched if child.state is ChildState.FAILED]
    assert driver.search.state in (SearchState.SUCCEEDED, SearchState.FAILED)
    assert all(count <= caps["max_attempts"] * (2 if child == winner else 1) for child, count in launched.items())
    per_iteration = Counter(child.child_id.iteration for child in searched)
    assert len(failed) < caps["max_failed_children"] + max(per_iteration.values())
