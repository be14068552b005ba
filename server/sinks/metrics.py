# SPDX-License-Identifier: Apache-2.0
"""Every metric of the server, declared once; ``docs/metrics.md`` is generated from here.

Each series exists from the start: labels come from closed sets, never from a search, a child, a path or a text from
outside, so their number does not grow. Nothing here reads the server; ``tally`` and ``readings`` fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from platform import python_version
from typing import Final, TypeVar

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from nas.operations import Operation
from nas.search.reasons import AttemptKind, FailureReason, LostReason
from nas.search.state import ChildState, SearchState
from nas.transformations import SkipReason

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

STATES = tuple(state for state in SearchState if state is not SearchState.DELETED)
OUTCOMES = (ChildState.SUCCEEDED, ChildState.FAILED, ChildState.CANCELLED)
FAULTS = tuple(dict.fromkeys(reason.value for kind in (LostReason, FailureReason) for reason in kind))
CODES = tuple(code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK)
WORKER_STATES = ("busy", "free")
RESUMED = ("attempt", "search")
FINISHING = "finishing"
"""Stands beside the transformations for a net that is trained once more after the search."""

_EPOCH_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_CHILD_BUCKETS = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0)
_WAIT_BUCKETS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0)
_DISK_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_CALL_BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which nobody reads

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


def _fill(metric: MetricT, labels: dict[str, Sequence[str]]) -> MetricT:
    """Make every series of a metric, so that it is there with 0 before anything has happened."""
    if labels:
        for values in product(*labels.values()):
            metric.labels(*values)
    return metric


class Family:
    """Metrics of one subject in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, text: str, **labels: Sequence[str]) -> Counter:
        return _fill(Counter(f"nas_{name}", text, tuple(labels), registry=self._registry), labels)

    def _gauge(self, name: str, text: str, **labels: Sequence[str]) -> Gauge:
        return _fill(Gauge(f"nas_{name}", text, tuple(labels), registry=self._registry), labels)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], **labels: Sequence[str]) -> Histogram:
        made = Histogram(f"nas_{name}", text, tuple(labels), buckets=buckets, registry=self._registry)
        return _fill(made, labels)


class SearchMetrics(Family):
    """Progress of the searches. Values about running searches are NaN while none runs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        states = [state.value for state in STATES]
        self.searches = self._gauge("searches", "Searches by state; deleted ones are left out.", state=states)
        self.recovered = self._gauge("recovered_searches", "Searches that had not ended when this server started.")
        self.iteration = self._gauge("iteration", "Highest iteration of the running searches.")
        self.best_accuracy = self._gauge(
            "best_accuracy_ratio", "Highest validation accuracy of a child of the running searches."
        )
        self.best_parameters = self._gauge("best_parameters", "Parameters of the child with that accuracy.")
        self.smallest_parameters = self._gauge(
            "smallest_parameters", "Fewest parameters of a trained child of the running searches."
        )
        self.smallest_accuracy = self._gauge("smallest_accuracy_ratio", "Validation accuracy of that smallest child.")
        self.resumes = self._counter(
            "resumes", "Attempts that went on from a checkpoint, and searches that went on after a pause.", of=RESUMED
        )
        self.without_room = self._gauge("searches_without_room", "Searches that wait for room on the disk.")


class TrainingMetrics(Family):
    """Children, attempts and the workers that train them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        operations = [*(operation.value for operation in Operation), FINISHING]
        outcomes = [state.value for state in OUTCOMES]
        self.children = self._counter(
            "children", "Children that came to an end.", transformation=operations, outcome=outcomes
        )
        self.skipped = self._counter(
            "transformations_skipped",
            "Transformations that gave no child.",
            reason=[reason.value for reason in SkipReason],
        )
        self.attempts = self._counter("attempts", "Attempts launched.", kind=[kind.value for kind in AttemptKind])
        self.faults = self._counter("faults", "Attempts lost and children failed, by the reason.", kind=FAULTS)
        self.epochs = self._counter("epochs", "Epochs trained, those trained again after a fault included.")
        self.images = self._counter("trained_images", "Images that these epochs have trained on.")
        self.images_per_second = self._gauge(
            "images_per_second", "Training speed: last epoch of each attempt that is out, added up."
        )
        self.epoch_seconds = self._histogram("epoch_seconds", "Duration of an epoch with validation.", _EPOCH_BUCKETS)
        self.child_seconds = self._histogram("child_seconds", "Duration of all epochs of a child.", _CHILD_BUCKETS)
        self.queue = self._gauge("queued_attempts", "Attempts that wait for a worker.")
        self.queue_seconds = self._histogram(
            "queue_seconds", "Time from a child's proposal or loss to its launch, without pauses.", _WAIT_BUCKETS
        )
        self.workers = self._gauge("workers", "Places for attempts, by state.", state=WORKER_STATES)
        self.checkpoint_seconds = self._histogram(
            "checkpoint_seconds", "Time a worker took to write a checkpoint.", _DISK_BUCKETS
        )


class ServiceMetrics(Family):
    """The server itself: calls, watchers, journal, disk."""

    def __init__(self, registry: CollectorRegistry, service: ServiceDescriptor) -> None:
        super().__init__(registry)
        methods = self._methods = frozenset(method.name for method in service.methods)
        self.call_seconds = self._histogram(
            "rpc_seconds",
            "Duration of a call; its count is the number of calls.",
            _CALL_BUCKETS,
            method=sorted(methods),
        )
        self.call_errors = self._counter("rpc_errors", "Calls that ended with another status than OK.", code=CODES)
        self.calls_in_progress = self._gauge("rpc_in_progress", "Calls that have not ended, watches included.")
        self.watchers = self._gauge("watchers", "Watches in progress.")
        self.append_seconds = self._histogram(
            "journal_append_seconds", "Time until events were durable.", _DISK_BUCKETS
        )
        self.events = self._counter("journal_events", "Events made durable since this server started.")
        self.append_errors = self._counter("journal_errors", "Appends that failed; a full disk counts at each try.")
        self.free_bytes = self._gauge("state_free_bytes", "Room on the disk of the state folder.")
        self.build = self._gauge(
            "build_info",
            "Always 1.",
            version=(version("seib-nas"),),
            python=(python_version(),),
            grpc=(grpc.__version__,),
        )
        self.build.labels(version("seib-nas"), python_version(), grpc.__version__).set(1)

    def note_call(self, method: str, code: str, seconds: float) -> None:
        """Count a call that has ended."""
        if method in self._methods:
            self.call_seconds.labels(method).observe(seconds)
        if code != grpc.StatusCode.OK.name:
            self.call_errors.labels(code).inc()


class GpuMetrics(Family):
    """The GPUs that NVML shows; without one these metrics have no series."""

    def __init__(self, registry: CollectorRegistry, gpus: Sequence[str]) -> None:
        super().__init__(registry)
        self.utilisation = self._gauge("gpu_utilisation_ratio", "Share of time in which the GPU was busy.", gpu=gpus)
        self.used_bytes = self._gauge("gpu_memory_used_bytes", "Memory in use, by whomever.", gpu=gpus)
        self.total_bytes = self._gauge("gpu_memory_total_bytes", "Memory there is.", gpu=gpus)
        self.energy = self._counter("gpu_energy_joules", "Energy used since the first scrape.", gpu=gpus)


class Metrics:
    """All metrics of one server."""

    def __init__(self, service: ServiceDescriptor, gpus: Sequence[str] = ()) -> None:
        """Declare them; ``service`` is the one whose methods are measured, ``gpus`` the names of the GPUs."""
        self.registry = CollectorRegistry()
        self.search = SearchMetrics(self.registry)
        self.training = TrainingMetrics(self.registry)
        self.service = ServiceMetrics(self.registry, service)
        self.gpu = GpuMetrics(self.registry, gpus)
        ProcessCollector(registry=self.registry)

    @property
    def families(self) -> tuple[Family, ...]:
        """Everything but the process's own figures, by subject."""
        return self.search, self.training, self.service, self.gpu

    def render(self) -> bytes:
        """Return all series in Prometheus' text format."""
        return generate_latest(self.registry)
