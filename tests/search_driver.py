# SPDX-License-Identifier: Apache-2.0
"""Drives a search by its pure functions alone: commands in, facts out, with a simulated worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.assessment import Assessed, Assessment, Baseline, ClassAssessment, Estimate
from nas.blocks import BlockType
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import Device, InputShape, Precision, SearchConfig, TrainingConfig
from nas.folders import PatientSource
from nas.recipe import planned_epochs
from nas.search import commands, events
from nas.search.conditions import DatasetSummary, PartCounts, PatientCounts, Resources, Runtime
from nas.search.control import RejectedError
from nas.search.evolve import evolve
from nas.search.finishing import training_of
from nas.search.machine import Work, decide, pending_work, running_attempts
from nas.search.reasons import AttemptKind, FailureReason, LostReason
from nas.search.simulation import simulate_epoch
from nas.search.state import Child, Search
from nas.seeds import seeded_draw

DATASET = DatasetSummary(
    shape=InputShape(channels=1, height=28, width=28),
    class_names=("no", "yes"),
    counts=PartCounts(train=(400, 400), validation=(50, 50), test=(50, 50)),
    fingerprint="f" * 64,
    split_fingerprint="5" * 64,
    patients=PatientCounts(source=PatientSource.FILE_NAME, train=200, validation=25, test=25, leaks=0),
)
RESOURCES = Resources(threads=1, memory_limit_bytes=1 << 33)
RUNTIME = Runtime(device=Device.CPU, precision=Precision.FP32, threads=1, hardware="simulated", versions=())
MAX_EPOCHS = 2
UNCOUNTED = (LostReason.SERVER_RESTARTED, LostReason.CANCELLED, LostReason.PREEMPTED, LostReason.DISK_FULL)
"""Losses that are not the child's fault, as the design lists them."""

Measure = Callable[[SearchConfig, Child, int], EpochResult]
"""``measure(config, child, epoch)``: what validation gives after an epoch."""


@dataclass(frozen=True, slots=True)
class Loses:
    """The attempt is lost after it has reported ``after`` more epochs."""

    reason: LostReason
    after: int = 0


@dataclass(frozen=True, slots=True)
class Fails:
    """The attempt fails for good after it has reported ``after`` more epochs."""

    reason: FailureReason
    after: int = 0


Faults = Mapping[tuple[str, int], Loses | Fails]
"""What happens to an attempt, by child and number; a test evaluation continues the winner's numbers."""


def make_config(**changes: Any) -> SearchConfig:
    """A search that ends after two iterations."""
    training = changes.pop("training", TrainingConfig(max_epochs=MAX_EPOCHS))
    settings = {"dataset": "digits", "block": BlockType.INCEPTION, "seed": 7, "max_iterations": 2, **changes}
    return SearchConfig(**settings, training=training)


def make_start(config: SearchConfig, **changes: Any) -> commands.StartSearch:
    """The command that begins it."""
    settings = {"request_id": "r-1", "dataset": DATASET, "resources": RESOURCES, "software": "nas 0", **changes}
    return commands.StartSearch(config=config, **settings)


def simulated(config: SearchConfig, child: Child, epoch: int) -> EpochResult:
    """Measure what ``--executor fake`` would: each iteration is better than the one before."""
    return simulate_epoch(
        search_seed=config.seed,
        graph_hash=child.graph_hash,
        iteration=child.child_id.iteration,
        epoch=epoch,
        totals=DATASET.counts.validation,
    )


def scripted(correct: Mapping[str, int], otherwise: int = 60) -> Measure:
    """Measure as prescribed: correct images of 100, by child (``"2-3"``) or else by iteration (``"2"``)."""

    def measure(_: SearchConfig, child: Child, epoch: int) -> EpochResult:
        count = correct.get(str(child.child_id), correct.get(str(child.child_id.iteration), otherwise))
        return make_result(epoch, correct=count)

    return measure


def make_result(epoch: int, *, correct: int = 60, loss: float | None = None, training_loss: float = 0.5) -> EpochResult:
    """One epoch; the loss falls as epochs pass."""
    evaluation = make_evaluation(correct, loss=1 / epoch if loss is None and epoch > 0 else loss)
    return EpochResult(
        epoch=epoch, training_loss=training_loss, validation=evaluation, seconds=2.5, images_per_second=320.0
    )


def make_evaluation(correct: int, *, loss: float | None = None) -> Evaluation:
    """``correct`` of 100 images in two classes."""
    return Evaluation(
        loss=0.5 if loss is None else loss, correct=(correct // 2, correct - correct // 2), total=(50, 50)
    )


def make_assessment() -> Assessment:
    """40 of 100 images in two classes, 20 of each."""
    share = Estimate(value=0.4, low=0.309, high=0.498)
    one = ClassAssessment(images=50, sensitivity=share, specificity=share, precision=share, auc=None)
    return Assessment(
        accuracy=share,
        balanced_accuracy=share,
        macro_f1=Estimate(value=0.4),
        auc=None,
        log_loss=0.75,
        calibration_error=0.125,
        baseline=Baseline(
            label=0,
            accuracy=0.5,
            balanced_accuracy=0.5,
            macro_f1=1 / 3,
            only_net=20,
            only_baseline=30,
            p_value=0.2026,
        ),
        classes=(one, one),
        confusion=((20, 30), (30, 20)),
        patients=25,
    )


def attempt_reports(
    search: Search,
    work: Work,
    measure: Measure = simulated,
    fault: Loses | Fails | None = None,
    *,
    has_checkpoint: bool = True,
) -> Iterator[commands.Report]:
    """Yield the reports of an attempt's worker, from the last recorded epoch on, or from the first epoch."""
    assert work.attempt is not None
    child = search.children[work.child_id]
    whose: Any = {"child_id": work.child_id, "attempt": work.attempt}
    recorded = len(child.epochs) if work.kind is AttemptKind.TRAINING and has_checkpoint else 0
    yield commands.ReportStarted(**whose, runtime=RUNTIME, resumed_after_epoch=recorded)
    last = planned_epochs(training_of(search, work.child_id), sum(search.started.dataset.counts.train))
    if work.kind is AttemptKind.TRAINING:
        for epoch in range(recorded + 1, (last if fault is None else min(last, recorded + fault.after)) + 1):
            yield commands.ReportEpoch(**whose, result=measure(search.config, child, epoch))
    if isinstance(fault, Loses):
        yield commands.ReportLost(**whose, reason=fault.reason, detail=f"lost: {fault.reason.value}")
    elif isinstance(fault, Fails):
        yield commands.ReportFailed(**whose, reason=fault.reason, detail=f"failed: {fault.reason.value}")
    elif work.kind is AttemptKind.TEST_EVALUATION:
        rivals = tuple(Assessed(child_id=child.child_id, evaluation=make_evaluation(30)) for child in search.rivals)
        yield commands.ReportEvaluated(
            **whose, evaluation=make_evaluation(40), assessment=make_assessment(), others=rivals
        )
    else:
        yield commands.ReportTrained(
            **whose,
            epochs=last,
            best_epoch=last,
            is_stopped_early=False,
            evaluation=measure(search.config, child, last).validation,
            weights_sha256=child.graph_hash,
        )


@dataclass(slots=True)
class Driver:
    """One started search with all its commands and facts.

    Attributes:
        facts: all of them, in order.
        log: each command with its facts, or with the reason of its refusal.
        draws: child, index and number of choices of every draw.
    """

    config: SearchConfig = field(default_factory=make_config)
    measure: Measure = simulated
    faults: Faults = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    facts: list[events.Event] = field(default_factory=list)
    log: list[tuple[commands.Command, tuple[events.Event, ...] | str]] = field(default_factory=list)
    draws: list[tuple[str, int, int]] = field(default_factory=list)
    _search: Search | None = None

    def __post_init__(self) -> None:
        self.send(make_start(self.config, **self.start))

    @property
    def search(self) -> Search:
        """The state now."""
        assert self._search is not None
        return self._search

    @search.setter
    def search(self, search: Search) -> None:
        self._search = search

    @property
    def children(self) -> dict[str, Child]:
        """Children by the text of their id."""
        return {str(child_id): child for child_id, child in self.search.children.items()}

    def draw(self, child_id: ChildId, index: int, below: int) -> int:
        """Draw as the server does."""
        self.draws.append((str(child_id), index, below))
        return seeded_draw(self.config.seed, "draw", str(child_id), index, below=below)

    def send(self, command: commands.Command) -> tuple[events.Event, ...]:
        """Carry a command out and return its facts."""
        try:
            facts = decide(self._search, command, self.draw)
        except RejectedError as error:
            self.log.append((command, error.reason))
            raise
        for fact in facts:
            self._search = evolve(self._search, fact)
        self.facts.extend(facts)
        self.log.append((command, facts))
        return facts

    def launch(self, child_id: str) -> Work:
        """Launch an attempt and return it."""
        self.send(commands.LaunchAttempt(child_id=ChildId.parse(child_id)))
        (work,) = [work for work in running_attempts(self.search) if str(work.child_id) == child_id]
        return work

    def reports(self, work: Work) -> Iterator[commands.Report]:
        """Yield the reports of an attempt's worker, faults included."""
        fault = self.faults.get((str(work.child_id), work.attempt or 0))
        return attempt_reports(self.search, work, self.measure, fault)

    def attempt(self, child_id: str) -> tuple[events.Event, ...]:
        """Launch an attempt, send all its reports and return the facts that follow from the last one."""
        facts: tuple[events.Event, ...] = ()
        for report in self.reports(self.launch(child_id)):
            facts = self.send(report)
        return facts

    def run(self, *, until_iteration: int | None = None, until_stop: bool = False) -> Search:
        """Run the pending work, one attempt at a time, to the end of the search or to the given point."""
        while work := pending_work(self.search):
            if self.search.iteration == until_iteration or (until_stop and self.search.stop is not None):
                break
            self.attempt(str(work[0].child_id))
        return self.search

    def lose(self, reason: LostReason) -> None:
        """Report every running attempt as lost."""
        for work in running_attempts(self.search):
            self.send(make_lost(work, reason))

    def of(self, kind: type[events.Event]) -> list[Any]:
        """Return the facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]


def make_lost(work: Work, reason: LostReason) -> commands.ReportLost:
    """Report that an attempt is lost."""
    assert work.attempt is not None
    return commands.ReportLost(
        child_id=work.child_id, attempt=work.attempt, reason=reason, detail=f"lost: {reason.value}"
    )


def ids(children: object) -> list[str]:
    """Texts of child ids, or of the ids of records that have one."""
    assert isinstance(children, list | tuple)
    return [str(item if isinstance(item, ChildId) else item.child_id) for item in children]
