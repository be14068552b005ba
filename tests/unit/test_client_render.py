# SPDX-License-Identifier: Apache-2.0
"""One event, one line: every fact of the API, in words a person can act on."""

from __future__ import annotations

import pytest
import search_records as records
from google.protobuf.duration_pb2 import Duration

from client import views
from client.phrases import STOP_REASONS
from client.render import SENTENCES, TIE_BREAKS, event_line
from nas.api.v1 import event_pb2, search_pb2
from nas.api.v1 import search_service_pb2 as service_pb2

BEST = search_pb2.Choice(
    role=search_pb2.ROLE_BEST,
    rule=search_pb2.RULE_HIGHEST_METRIC,
    child_id="1-3",
    metric_value=0.9,
    param_count=418_018,
    runner_up="1-1",
    margin=0.0125,
    tie_break=search_pb2.TIE_BREAK_NONE,
)
SMALLEST = search_pb2.Choice(
    role=search_pb2.ROLE_SMALLEST,
    rule=search_pb2.RULE_FEWEST_PARAMETERS,
    child_id="1-1",
    metric_value=0.8875,
    param_count=1000,
    runner_up="1-2",
    margin=1,
    tie_break=search_pb2.TIE_BREAK_NONE,
)
PATIENTS = search_pb2.PatientCounts(
    source=search_pb2.PATIENT_SOURCE_DICOM_HEADER, train_count=199, validation_count=14, test_count=28
)
LINES: tuple[tuple[event_pb2.Event, str], ...] = (
    (
        event_pb2.Event(search_started=event_pb2.SearchStarted(config=records.CONFIG, dataset=records.DATASET)),
        "search started: ib on mnist (1x28x28, 2 classes, 100/10/20 images to train/validate/test), "
        "preset paper, seed 7",
    ),
    (
        event_pb2.Event(
            search_started=event_pb2.SearchStarted(
                config=search_pb2.SearchConfig(
                    dataset="kau",
                    block=search_pb2.BLOCK_TYPE_INCEPTION,
                    preset=search_pb2.PRESET_PAPER,
                    selection_metric=search_pb2.SELECTION_METRIC_BALANCED_ACCURACY,
                    training=search_pb2.TrainingConfig(imbalance=search_pb2.IMBALANCE_FOCAL),
                ),
                dataset=records.DATASET,
            )
        ),
        "search started: ib on kau (1x28x28, 2 classes, 100/10/20 images to train/validate/test), "
        "preset paper, seed 0, selected by balanced accuracy, against imbalance: focal",
    ),
    (
        event_pb2.Event(
            search_started=event_pb2.SearchStarted(
                config=records.CONFIG, dataset=search_pb2.DatasetSummary(class_names=["no", "yes"], patients=PATIENTS)
            )
        ),
        "search started: ib on mnist (0x0x0, 2 classes, 0/0/0 images to train/validate/test, 199/14/28 patients, "
        "none in two parts), preset paper, seed 7",
    ),
    (
        event_pb2.Event(iteration_started=event_pb2.IterationStarted(iteration=2, parent_ids=["1-3", "1-1"])),
        "iteration 2 started from 1-3 and 1-1",
    ),
    (
        event_pb2.Event(child_proposed=event_pb2.ChildProposed(child_id="0-1", architecture=records.ARCHITECTURE)),
        f"child 0-1 proposed: the initial model, 418018 parameters, {records.NOTATION}",
    ),
    (
        event_pb2.Event(
            child_proposed=event_pb2.ChildProposed(
                child_id="1-3", parent_id="0-1", transformation=records.WIDEN, architecture=records.ARCHITECTURE
            )
        ),
        f"child 1-3 proposed: widen(1, by=32) of 0-1, 418018 parameters, {records.NOTATION}",
    ),
    (
        event_pb2.Event(
            transformation_skipped=event_pb2.TransformationSkipped(
                child_id="1-1",
                parent_id="0-1",
                operation=search_pb2.OPERATION_ADD_LAYER,
                reason=search_pb2.SKIP_REASON_TOO_MANY_PARAMETERS,
            )
        ),
        "child 1-1 skipped: add_layer of 0-1, too many parameters",
    ),
    (
        event_pb2.Event(
            attempt_launched=event_pb2.AttemptLaunched(
                child_id="1-3", attempt=1, kind=search_pb2.ATTEMPT_KIND_TEST_EVALUATION
            )
        ),
        "child 1-3 attempt 1 launched: test evaluation",
    ),
    (
        event_pb2.Event(
            attempt_started=event_pb2.AttemptStarted(
                child_id="1-3", attempt=2, runtime=records.winner().runtime, resumed_after_epoch=4
            )
        ),
        "child 1-3 attempt 2 started on cpu, fp32, 1 thread, from the checkpoint after epoch 4",
    ),
    (
        event_pb2.Event(
            epoch_completed=event_pb2.EpochCompleted(
                child_id="1-3",
                attempt=2,
                result=search_pb2.EpochResult(
                    epoch=5, training_loss=0.5, validation=records.VALIDATION, seconds=3.25, images_per_second=512.4
                ),
            )
        ),
        "child 1-3 epoch 5: training loss 0.5000, validation loss 0.2500, validation accuracy 90.00 % (9/10), "
        "3.2 s, 512 images/s",
    ),
    (
        event_pb2.Event(
            child_succeeded=event_pb2.ChildSucceeded(
                child_id="1-3", epoch_count=5, best_epoch=3, is_stopped_early=True, evaluation=records.VALIDATION
            )
        ),
        "child 1-3 succeeded: epoch 3 of 5 kept, stopped early, "
        "validation loss 0.2500, validation accuracy 90.00 % (9/10)",
    ),
    (
        event_pb2.Event(
            attempt_lost=event_pb2.AttemptLost(
                child_id="1-3", attempt=1, reason=search_pb2.LOST_REASON_OUT_OF_MEMORY, detail="it had 2 GiB"
            )
        ),
        "child 1-3 attempt 1 lost: out of memory (it had 2 GiB)",
    ),
    (
        event_pb2.Event(
            child_failed=event_pb2.ChildFailed(child_id="1-3", attempt=3, reason=search_pb2.FAILURE_REASON_DIVERGED)
        ),
        "child 1-3 failed: diverged",
    ),
    (event_pb2.Event(child_cancelled=event_pb2.ChildCancelled(child_id="1-3")), "child 1-3 cancelled"),
    (
        event_pb2.Event(
            children_selected=event_pb2.ChildrenSelected(
                iteration=1, choices=[BEST, SMALLEST], previous_best=0.875, incumbent_id="1-3"
            )
        ),
        "iteration 1 selected: BEST 1-3 (90.00 %, 418018 parameters) by highest metric, 1.25 points above 1-1; "
        "SMALLEST 1-1 (88.75 %, 1000 parameters) by fewest parameters, 1 parameter fewer than 1-2; "
        "best before 87.50 %; incumbent 1-3",
    ),
    (
        event_pb2.Event(
            stopping_criterion_met=event_pb2.StoppingCriterionMet(
                reason=search_pb2.STOP_REASON_ACCURACY_DECLINED, iteration=2
            )
        ),
        "no iteration after 2: the best child was worse than that of the iteration before",
    ),
    (event_pb2.Event(time_budget_reached=event_pb2.TimeBudgetReached()), "the time budget is used up"),
    (event_pb2.Event(cancel_requested=event_pb2.CancelRequested()), "cancellation requested"),
    (
        event_pb2.Event(cancel_requested=event_pb2.CancelRequested(principal="ada")),
        "cancellation requested by ada",
    ),
    (
        event_pb2.Event(winner_evaluated=event_pb2.WinnerEvaluated(child_id="1-3", evaluation=records.TEST)),
        "child 1-3 evaluated on the test part: test loss 0.5000, test accuracy 85.00 % (17/20)",
    ),
    (
        event_pb2.Event(
            search_succeeded=event_pb2.SearchSucceeded(reason=search_pb2.STOP_REASON_TIME_BUDGET, winner_id="1-3")
        ),
        "search succeeded: the winner is 1-3; the time budget is used up",
    ),
    (
        event_pb2.Event(
            search_failed=event_pb2.SearchFailed(
                reason=search_pb2.SEARCH_FAILURE_NO_VALID_CHILDREN, detail="all diverged"
            )
        ),
        "search failed: no valid children (all diverged)",
    ),
    (
        event_pb2.Event(search_cancelled=event_pb2.SearchCancelled(incumbent_id="1-3")),
        "search cancelled: the best child so far is 1-3",
    ),
    (
        event_pb2.Event(search_cancelled=event_pb2.SearchCancelled()),
        "search cancelled: no child was trained",
    ),
    (
        event_pb2.Event(pause_requested=event_pb2.PauseRequested()),
        "pause requested: workers are writing their checkpoints",
    ),
    (event_pb2.Event(search_paused=event_pb2.SearchPaused()), "search paused: nothing runs until it is resumed"),
    (event_pb2.Event(search_resumed=event_pb2.SearchResumed()), "search resumed"),
    (event_pb2.Event(search_deleted=event_pb2.SearchDeleted()), "search deleted"),
    (
        event_pb2.Event(finishing_started=event_pb2.FinishingStarted(iteration=2, parent_ids=["1-3", "1-1"])),
        "finishing started: the nets of 1-3 and 1-1 are trained once more",
    ),
    (
        event_pb2.Event(finishing_started=event_pb2.FinishingStarted(iteration=1, parent_ids=["0-1"])),
        "finishing started: the net of 0-1 is trained once more",
    ),
    (
        event_pb2.Event(
            child_proposed=event_pb2.ChildProposed(child_id="2-1", parent_id="1-3", architecture=records.ARCHITECTURE)
        ),
        f"child 2-1 proposed: finishing of 1-3, 418018 parameters, {records.NOTATION}",
    ),
    (
        event_pb2.Event(finishing_completed=event_pb2.FinishingCompleted(winner_id="2-1")),
        "finishing completed: the winner is 2-1",
    ),
)


@pytest.mark.parametrize(("event", "expected"), LINES, ids=[event.WhichOneof("fact") for event, _ in LINES])
def test_line(event: event_pb2.Event, expected: str) -> None:
    """A fact has its sentence, after the running time."""
    timed = event_pb2.Event(running_time=Duration(seconds=45_296))
    timed.MergeFrom(event)

    assert f"12:34:56  {expected}" == event_line(timed)


def test_no_fact_is_without_a_sentence() -> None:
    """The API's facts, the client's sentences and the examples above are the same."""
    facts = {field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields}

    assert facts == SENTENCES.keys()
    assert facts == {event.WhichOneof("fact") for event, _ in LINES}


def test_no_reason_is_without_words() -> None:
    """Every value that is put in words by hand has its words."""
    assert set(search_pb2.StopReason.values()) == STOP_REASONS.keys()
    assert set(search_pb2.TieBreak.values()) == TIE_BREAKS.keys()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"runner_up": ""}, ", without a runner-up"),
        ({"tie_break": search_pb2.TIE_BREAK_PARAM_COUNT}, ", tied with 1-1, decided by fewer parameters"),
        ({"tie_break": search_pb2.TIE_BREAK_CHILD_ID}, ", tied with 1-1, decided by the earlier id"),
        ({"margin": None}, ", before 1-1"),
    ],
)
def test_selection_says_what_decided(change: dict[str, object], expected: str) -> None:
    """A choice names its runner-up and what stood between them."""
    choice = search_pb2.Choice()
    choice.CopyFrom(BEST)
    for name, value in change.items():
        choice.ClearField("margin") if value is None else setattr(choice, name, value)

    line = event_line(
        event_pb2.Event(children_selected=event_pb2.ChildrenSelected(choices=[choice], incumbent_id="1-3"))
    )

    assert f"by highest metric{expected}; incumbent" in line


def test_an_unknown_fact_is_admitted() -> None:
    """An event of a newer server is not hidden."""
    assert "event 9 is one that this client does not know" in event_line(event_pb2.Event(sequence=9))


@pytest.mark.parametrize(
    ("patients", "expected"),
    [
        (PATIENTS, "by the patient of the DICOM header: 199/14/28 patients, none in two parts"),
        (search_pb2.PatientCounts(source=search_pb2.PATIENT_SOURCE_NONE), "by image, none in two parts"),
        (None, "unknown; the server that started the search did not say"),
        (search_pb2.PatientCounts(source=99, train_count=5), "by unknown (99): 5/0/0 patients, none in two parts"),  # type: ignore[arg-type]
    ],
)
def test_how_a_set_is_divided(patients: search_pb2.PatientCounts | None, expected: str) -> None:
    """With what the leak check found; an older journal does not say, and a newer server may say more."""
    dataset = search_pb2.DatasetSummary(patients=patients)

    shown = (views.search_view(search_pb2.Search(dataset=dataset)), views.plan_view(service_pb2.Plan(dataset=dataset)))

    assert all(f"divided {expected}" in " ".join(text.split()) for text in shown)


def test_a_fold_is_named() -> None:
    """Wherever a search says how its data are divided, so that nobody takes its test part for that of the set."""
    config = search_pb2.SearchConfig(dataset="kau", folds=5, fold=2)
    started = event_pb2.SearchStarted(config=config)

    shown = (
        views.search_view(search_pb2.Search(config=config)),
        views.plan_view(service_pb2.Plan(config=config)),
        event_line(event_pb2.Event(search_started=started)),
    )

    assert [1, 1, 1] == [text.count(", fold 2 of 5") for text in shown]


def test_unknown_values_are_numbers() -> None:
    """A reason of a newer server is shown as its number instead of failing."""
    lost = event_pb2.AttemptLost(child_id="1-3", attempt=1, reason=99)  # type: ignore[arg-type]
    stopped = event_pb2.StoppingCriterionMet(reason=99, iteration=1)  # type: ignore[arg-type]

    assert "lost: unknown (99)" in event_line(event_pb2.Event(attempt_lost=lost))
    assert "for reason 99" in event_line(event_pb2.Event(stopping_criterion_met=stopped))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red \x1b[31m", r"red \x1b[31m"),
        ("two\nlines\r", r"two\nlines\r"),
        ("bell\x07 null\x00", r"bell\x07 null\x00"),
        ("right\u202eto left", r"right\u202eto left"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("größer, 日本", "größer, 日本"),
    ],
)
def test_control_characters_stay_visible_and_harmless(text: str, expected: str) -> None:
    """Nothing that a server sends can steer a terminal or break a line; letters of any script pass."""
    event = event_pb2.Event(search_failed=event_pb2.SearchFailed(detail=text))

    assert expected in event_line(event)
    assert event_line(event).isprintable()


def test_finishing_is_shown_wherever_a_search_is() -> None:
    """A plan counts nets and epochs; a search says that it is in this stage, and afterwards which nets it finished."""
    config = search_pb2.SearchConfig()
    config.CopyFrom(records.CONFIG)
    config.finish = search_pb2.FINISH_FULL
    plan, search = records.plan(), records.running_search()
    plan.config.CopyFrom(config)
    search.config.CopyFrom(config)
    search.finishing_ids.extend(["2-1", "2-2"])
    ended = records.search()
    ended.config.CopyFrom(config)
    ended.finishing_ids.extend(["2-1", "2-2"])

    assert "finishing    at most 2 nets, 10 epochs each: as long as 10 trainings in the search" in views.plan_view(plan)
    assert "finishing" not in views.plan_view(records.plan())
    assert "running, finishing" in views.search_table([search])
    assert "2-1 and 2-2, 10 epochs each" in views.search_view(ended)
    assert "succeeded, finishing" not in views.search_view(ended)
    assert "seed 7, finish full" in views.search_view(ended)
