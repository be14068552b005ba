# SPDX-License-Identifier: Apache-2.0
"""The answer of StartSearch with ``validate_only``: a plan, made of the first facts that the search would have."""

from __future__ import annotations

from nas.api.v1 import search_service_pb2 as pb
from nas.search import events
from nas.search.evolve import replay
from nas.search.state import Child, Search
from nas.shapes import checkpoint_bytes, training_bytes
from server.codec import records, settings
from server.codec.facts import encode_skipped
from server.codec.views import encode_child_in_full
from server.engine import PlanResult


def encode_plan(plan: PlanResult) -> pb.Plan:
    """The initial model and the children of iteration 1, with what they would need."""
    search = replay(plan.facts)
    assert search is not None, "a plan begins with SearchStarted"  # noqa: S101
    command = plan.command
    return pb.Plan(
        config=settings.encode_config(command.config),
        dataset=records.encode_dataset(command.dataset),
        resources=records.RESOURCES.encode(command.resources),
        warnings=command.warnings,
        children=[_planned(child, search) for child in search.children.values()],
        skipped=[encode_skipped(fact) for fact in plan.facts if isinstance(fact, events.TransformationSkipped)],
        disk_bytes=sum(_disk_bytes(child, search) for child in search.of_iteration(1)),
    )


def _planned(child: Child, search: Search) -> pb.PlannedChild:
    shape, batch_size = search.started.dataset.shape, search.config.training.batch_size
    return pb.PlannedChild(
        child=encode_child_in_full(child, search),
        memory_bytes=training_bytes(child.architecture, shape, batch_size),
    )


def _disk_bytes(child: Child, search: Search) -> int:
    return checkpoint_bytes(child.architecture, search.started.dataset.shape)
