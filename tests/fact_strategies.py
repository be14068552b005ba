# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for everything that is journaled or said by a worker, extremes included."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import setting_values
from hypothesis import strategies as st
from strategies import architectures

from nas.assessment import Assessed, Assessment, Baseline, ClassAssessment, Estimate, Neighbours
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import (
    Device,
    InputShape,
    Precision,
    SearchConfig,
    TrainingConfig,
)
from nas.folders import PatientSource
from nas.operations import Operation
from nas.search import commands, events
from nas.search.conditions import DatasetSummary, PartCounts, PatientCounts, Resources, Runtime
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.selection import Choice, Role, Rule, TieBreak
from nas.transformations import AddBlock, AddConcat, AddLayer, AddPool, Narrow, RemoveLayer, SkipReason, Widen
from server.codec.envelope import Envelope

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
EXTREMES = (0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1)

child_ids = st.builds(ChildId, st.integers(0, 999_999_999), st.integers(1, 999_999_999))
numbers = st.integers(0, MAX_INT32)
sizes = st.integers(0, MAX_INT64)
any_floats = st.one_of(st.sampled_from(EXTREMES), st.floats())
shares = st.floats(0.0, 1.0)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""What protobuf can carry: anything but lone surrogates."""
lines = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=40)
"""What a worker's details are cut down to: one printable line."""
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def counted(draw: st.DrawFn) -> Evaluation:
    """Measurements of any size."""
    total = draw(st.lists(sizes, min_size=1, max_size=4).filter(any))
    correct = tuple(draw(st.integers(0, images)) for images in total)
    return Evaluation(loss=draw(any_floats), correct=correct, total=tuple(total))


trainings = setting_values.records(TrainingConfig)
configs = st.builds(
    lambda config, fold: replace(config, folds=fold[0], fold=fold[1]),
    config=setting_values.records(SearchConfig, training=trainings),
    fold=st.sampled_from([(0, 0), (0, 0), (3, 1), (20, 20)]),
)
counts = st.lists(sizes, max_size=4).map(tuple)
datasets = st.builds(
    DatasetSummary,
    shape=st.builds(InputShape, channels=st.just(1), height=st.integers(1, 65536), width=st.integers(1, 65536)),
    class_names=st.lists(texts, max_size=4).map(tuple),
    counts=st.builds(PartCounts, train=counts, validation=counts, test=counts),
    fingerprint=hashes,
    split_fingerprint=hashes,
    patients=st.none()
    | st.builds(
        PatientCounts,
        source=st.sampled_from(PatientSource),
        **dict.fromkeys(("train", "validation", "test", "leaks"), sizes),
    ),
)
resources = st.builds(Resources, threads=numbers, memory_limit_bytes=sizes)
transformations = st.one_of(
    st.builds(AddLayer, position=numbers, kernel=numbers),
    st.builds(AddLayer, position=numbers, kernel=numbers, filters=numbers, same=st.booleans(), bn=st.booleans()),
    st.builds(AddBlock, position=numbers),
    st.builds(AddBlock, position=numbers, widths=st.tuples(*[numbers] * 6), bn=st.booleans()),
    st.builds(Widen, position=numbers, by=numbers),
    st.builds(AddConcat, position=numbers),
    st.builds(Narrow, position=numbers, by=numbers),
    st.builds(RemoveLayer, position=numbers),
    st.builds(AddPool, position=numbers),
)
choices = st.builds(
    Choice,
    role=st.sampled_from(Role),
    rule=st.sampled_from(Rule),
    child_id=child_ids,
    metric_value=shares,
    param_count=sizes,
    runner_up=st.none() | child_ids,
    margin=st.none() | any_floats,
    tie_break=st.sampled_from(TieBreak),
)


def runtimes(words: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Runtime]:
    """What attempts run on; versions are sorted by name."""
    versions = st.dictionaries(words, words, max_size=3).map(lambda found: tuple(sorted(found.items())))
    kinds = {"device": st.sampled_from(Device), "precision": st.sampled_from(Precision)}
    return st.builds(Runtime, threads=numbers, hardware=words, versions=versions, **kinds)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    """Shares, some with an interval."""
    ends = draw(st.none() | st.tuples(shares, shares))
    return Estimate(value=draw(shares), low=ends[0] if ends else None, high=ends[1] if ends else None)


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Figures of up to three classes, any of which may be missing."""
    optional = st.none() | estimates()
    one = st.builds(
        ClassAssessment, images=sizes, sensitivity=optional, specificity=optional, precision=optional, auc=optional
    )
    classes = draw(st.lists(one, max_size=3))
    row = st.lists(sizes, min_size=len(classes), max_size=len(classes)).map(tuple)
    return Assessment(
        accuracy=draw(estimates()),
        balanced_accuracy=draw(estimates()),
        macro_f1=draw(estimates()),
        auc=draw(optional),
        log_loss=draw(st.floats(0.0)),
        calibration_error=draw(shares),
        baseline=draw(
            st.builds(
                Baseline,
                label=numbers,
                accuracy=shares,
                balanced_accuracy=shares,
                macro_f1=shares,
                only_net=sizes,
                only_baseline=sizes,
                p_value=shares,
            )
        ),
        classes=tuple(classes),
        confusion=tuple(draw(row) for _ in classes),
        patients=draw(sizes),
        neighbours=draw(
            st.none()
            | st.builds(Neighbours, k=numbers, train_images=sizes, accuracy=estimates(), balanced_accuracy=estimates())
        ),
    )


read_from_test: dict[str, Any] = {
    "evaluation": counted(),
    "assessment": st.none() | assessments(),
    "others": st.lists(
        st.builds(Assessed, child_id=child_ids, evaluation=counted(), assessment=st.none() | assessments()), max_size=2
    ).map(tuple),
}
"""What a test evaluation finds."""

epochs = st.builds(
    EpochResult,
    epoch=numbers,
    training_loss=any_floats,
    validation=counted(),
    seconds=any_floats,
    images_per_second=any_floats,
)


def _of(fact: Callable[..., Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(fact, child_id=child_ids, attempt=numbers, **fields)


FACTS: dict[type[events.Event], st.SearchStrategy[Any]] = {
    events.SearchStarted: st.builds(
        events.SearchStarted,
        config=configs,
        request_id=texts,
        dataset=datasets,
        resources=resources,
        warnings=st.lists(texts, max_size=2).map(tuple),
        principal=texts,
        software=texts,
    ),
    events.IterationStarted: st.builds(
        events.IterationStarted, iteration=numbers, parents=st.lists(child_ids, max_size=2).map(tuple)
    ),
    events.ChildProposed: st.builds(
        events.ChildProposed,
        child_id=child_ids,
        parent_id=st.none() | child_ids,
        transformation=st.none() | transformations,
        architecture=architectures(),
        graph_hash=hashes,
        param_count=sizes,
        flops=sizes,
    ),
    events.TransformationSkipped: st.builds(
        events.TransformationSkipped,
        child_id=child_ids,
        parent_id=child_ids,
        operation=st.sampled_from(Operation),
        reason=st.sampled_from(SkipReason),
    ),
    events.AttemptLaunched: _of(events.AttemptLaunched, kind=st.sampled_from(AttemptKind)),
    events.AttemptStarted: _of(events.AttemptStarted, runtime=runtimes(), resumed_after_epoch=numbers),
    events.EpochCompleted: _of(events.EpochCompleted, result=epochs),
    events.ChildSucceeded: _of(
        events.ChildSucceeded,
        epochs=numbers,
        best_epoch=numbers,
        is_stopped_early=st.booleans(),
        evaluation=counted(),
        weights_sha256=hashes,
    ),
    events.AttemptLost: _of(events.AttemptLost, reason=st.sampled_from(LostReason), detail=texts),
    events.ChildFailed: _of(events.ChildFailed, reason=st.sampled_from(FailureReason), detail=texts),
    events.ChildCancelled: st.builds(events.ChildCancelled, child_id=child_ids),
    events.ChildrenSelected: st.builds(
        events.ChildrenSelected,
        iteration=numbers,
        choices=st.lists(choices, max_size=2).map(tuple),
        previous_best=st.none() | any_floats,
        incumbent=child_ids,
    ),
    events.StoppingCriterionMet: st.builds(
        events.StoppingCriterionMet, reason=st.sampled_from(StopReason), iteration=numbers
    ),
    events.TimeBudgetReached: st.builds(events.TimeBudgetReached),
    events.CancelRequested: st.builds(events.CancelRequested, principal=texts),
    events.WinnerEvaluated: _of(events.WinnerEvaluated, **read_from_test),
    events.SearchSucceeded: st.builds(events.SearchSucceeded, reason=st.sampled_from(StopReason), winner=child_ids),
    events.SearchFailed: st.builds(events.SearchFailed, reason=st.sampled_from(SearchFailure), detail=texts),
    events.SearchCancelled: st.builds(events.SearchCancelled, incumbent=st.none() | child_ids),
    events.PauseRequested: st.builds(events.PauseRequested, principal=texts),
    events.SearchPaused: st.builds(events.SearchPaused),
    events.SearchResumed: st.builds(events.SearchResumed, principal=texts),
    events.SearchDeleted: st.builds(events.SearchDeleted, principal=texts),
    events.FinishingStarted: st.builds(
        events.FinishingStarted, iteration=numbers, parents=st.lists(child_ids, max_size=2).map(tuple)
    ),
    events.FinishingCompleted: st.builds(events.FinishingCompleted, winner=child_ids),
}
"""One strategy a fact."""


def envelopes(fact: st.SearchStrategy[Any]) -> st.SearchStrategy[Envelope]:
    """Any place in a journal; the running time is a whole number of nanoseconds, as the wire has it."""
    return st.builds(
        Envelope,
        search_id=texts,
        sequence=sizes,
        time_ns=st.integers(0, 253_402_300_799 * 10**9),  # the end of the year 9999
        running_seconds=st.integers(0, 10 * 365 * 86_400 * 10**3).map(lambda milliseconds: milliseconds / 1000),
        fact=fact,
    )


REPORTS: dict[type[commands.Report], st.SearchStrategy[Any]] = {
    commands.ReportStarted: _of(commands.ReportStarted, runtime=runtimes(lines), resumed_after_epoch=numbers),
    commands.ReportEpoch: _of(commands.ReportEpoch, result=epochs),
    commands.ReportTrained: _of(
        commands.ReportTrained,
        epochs=numbers,
        best_epoch=numbers,
        is_stopped_early=st.booleans(),
        evaluation=counted(),
        weights_sha256=hashes,
    ),
    commands.ReportEvaluated: _of(commands.ReportEvaluated, **read_from_test),
    commands.ReportFailed: _of(commands.ReportFailed, reason=st.sampled_from(FailureReason), detail=lines),
    commands.ReportLost: _of(commands.ReportLost, reason=st.sampled_from(LostReason), detail=lines),
}
"""One strategy a report."""
