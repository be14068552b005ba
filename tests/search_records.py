# SPDX-License-Identifier: Apache-2.0
"""Messages of one small search that ended well, as a server would send them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from client.versions import client_version
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

SEARCH_ID = "3f2a9c01b7de"
REQUEST_ID = "7b0ad4e2-25f7-4a76-8fd0-3a1d67f6a5b1"
NOTATION = "C(96,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(2)"

DATASET = search_pb2.DatasetSummary(
    shape=search_pb2.InputShape(channels=1, height=28, width=28),
    class_names=["no", "yes"],
    train_counts=[60, 40],
    validation_counts=[6, 4],
    test_counts=[12, 8],
)
CONFIG = search_pb2.SearchConfig(
    dataset="mnist",
    block=search_pb2.BLOCK_TYPE_INCEPTION,
    preset=search_pb2.PRESET_PAPER,
    seed=7,
    max_iterations=1,
    time_budget=Duration(seconds=43_200),
    training=search_pb2.TrainingConfig(max_epochs=2),
)
ARCHITECTURE = search_pb2.Architecture(notation=NOTATION, graph_hash="ab" * 32, param_count=418_018, flops=146_000_000)
WIDEN = search_pb2.Transformation(operation=search_pb2.OPERATION_WIDEN, position=1, by=32)
VALIDATION = search_pb2.Evaluation(
    loss=0.25, correct_counts=[5, 4], total_counts=[6, 4], accuracy=0.9, balanced_accuracy=11 / 12
)
TEST = search_pb2.Evaluation(
    loss=0.5, correct_counts=[10, 7], total_counts=[12, 8], accuracy=0.85, balanced_accuracy=41 / 48
)


def winner() -> search_pb2.Child:
    """The best child, without layers and epochs."""
    return search_pb2.Child(
        child_id="1-3",
        parent_id="0-1",
        transformation=WIDEN,
        architecture=ARCHITECTURE,
        state=search_pb2.Child.STATE_SUCCEEDED,
        attempts=2,
        lost_attempts=1,
        runtime=search_pb2.Runtime(
            device=search_pb2.DEVICE_CPU, precision=search_pb2.PRECISION_FP32, threads=1, hardware="avx2"
        ),
        epoch_count=2,
        best_epoch=2,
        evaluation=VALIDATION,
        weights_sha256="cd" * 32,
    )


def initial_model() -> search_pb2.Child:
    """The child of iteration 0."""
    return search_pb2.Child(child_id="0-1", architecture=ARCHITECTURE, state=search_pb2.Child.STATE_PROPOSED)


def search() -> search_pb2.Search:
    """The search after its end."""
    return search_pb2.Search(
        search_id=SEARCH_ID,
        state=search_pb2.Search.STATE_SUCCEEDED,
        config=CONFIG,
        dataset=DATASET,
        resources=search_pb2.Resources(threads=1),
        request_id=REQUEST_ID,
        warnings=["the classes differ in size"],
        iteration=1,
        child_count=4,
        succeeded_count=4,
        incumbent=winner(),
        test_evaluation=TEST,
        stop_reason=search_pb2.STOP_REASON_MAX_ITERATIONS,
        sequence=6,
        create_time=Timestamp(seconds=1_700_000_000),
        end_time=Timestamp(seconds=1_700_000_065),
        running_time=Duration(seconds=65),
    )


def running_search() -> search_pb2.Search:
    """The search right after its start."""
    found = search()
    found.ClearField("incumbent")
    found.ClearField("test_evaluation")
    found.ClearField("stop_reason")
    found.ClearField("end_time")
    found.state = search_pb2.Search.STATE_RUNNING
    found.sequence = 1
    return found


def plan() -> search_service_pb2.Plan:
    """What the search would begin with: two children and a skipped one."""
    return search_service_pb2.Plan(
        config=CONFIG,
        dataset=DATASET,
        resources=search_pb2.Resources(threads=1, memory_limit_bytes=2**33),
        warnings=["the classes differ in size"],
        children=[
            _planned("0-1", search_pb2.Child(), filters=2),
            _planned("1-3", search_pb2.Child(parent_id="0-1", transformation=WIDEN), filters=3),
        ],
        skipped=[
            event_pb2.TransformationSkipped(
                child_id="1-4",
                parent_id="0-1",
                operation=search_pb2.OPERATION_CONCAT,
                reason=search_pb2.SKIP_REASON_NO_VALID_ARGUMENT,
            )
        ],
        disk_bytes=30 * 2**20,
    )


def _planned(child_id: str, child: search_pb2.Child, *, filters: int) -> search_service_pb2.PlannedChild:
    child.child_id = child_id
    counts = (10 * filters, 0, 2 * (676 * filters + 1))
    shapes = ([filters, 26, 26], [676 * filters], [2])
    notations = (f"C({filters},3)", "F()", "FC(2)")
    for position, (notation, shape, param_count) in enumerate(zip(notations, shapes, counts, strict=True), start=1):
        child.architecture.layers.add(
            position=position, notation=notation, output_shape=shape, param_count=param_count, flops=1000 * param_count
        )
    child.architecture.notation = " ".join(notations)
    child.architecture.param_count = sum(counts)
    child.architecture.flops = 1000 * sum(counts)
    return search_service_pb2.PlannedChild(child=child, memory_bytes=3 * 2**29)


def events() -> list[event_pb2.Event]:
    """Its events, shortened; sequences from 1."""
    facts = (
        event_pb2.Event(
            search_started=event_pb2.SearchStarted(
                config=CONFIG, request_id=REQUEST_ID, dataset=DATASET, warnings=["the classes differ in size"]
            )
        ),
        event_pb2.Event(iteration_started=event_pb2.IterationStarted(iteration=1, parent_ids=["0-1"])),
        event_pb2.Event(
            child_succeeded=event_pb2.ChildSucceeded(
                child_id="1-3", attempt=2, epoch_count=2, best_epoch=2, evaluation=VALIDATION
            )
        ),
        event_pb2.Event(
            stopping_criterion_met=event_pb2.StoppingCriterionMet(
                reason=search_pb2.STOP_REASON_MAX_ITERATIONS, iteration=1
            )
        ),
        event_pb2.Event(winner_evaluated=event_pb2.WinnerEvaluated(child_id="1-3", attempt=1, evaluation=TEST)),
        event_pb2.Event(
            search_succeeded=event_pb2.SearchSucceeded(reason=search_pb2.STOP_REASON_MAX_ITERATIONS, winner_id="1-3")
        ),
    )
    for sequence, event in enumerate(facts, start=1):
        event.search_id = SEARCH_ID
        event.sequence = sequence
        event.running_time.FromSeconds(13 * (sequence - 1))
    return list(facts)


def heartbeat(sequence: int, chain_hash: bytes = b"") -> search_service_pb2.Heartbeat:
    """A heartbeat at the last event."""
    return search_service_pb2.Heartbeat(sequence=sequence, chain_hash=chain_hash)


def server_info() -> search_service_pb2.GetServerInfoResponse:
    """What the server says about itself."""
    return search_service_pb2.GetServerInfoResponse(
        version=client_version(), api="nas.api.v1", executor="local", worker_count=1
    )
