# SPDX-License-Identifier: Apache-2.0
"""The records that events, requests and answers share: data, measurements, nets, choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields

from google.protobuf.duration_pb2 import Duration

from nas.api.v1 import search_pb2 as pb
from nas.architecture import Architecture
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import Device, InputShape, Precision
from nas.folders import PatientSource
from nas.notation import NotationError, format_layer, format_notation, parse_notation
from nas.operations import Operation
from nas.search.facts import DatasetSummary, PartCounts, PatientCounts, Resources, Runtime
from nas.selection import Choice, Role, Rule, TieBreak
from nas.shapes import LayerSummary
from nas.transformations import TRANSFORMATIONS, Transformation
from server.codec import enums
from server.codec.enums import CodecError

_NANOS = 1_000_000_000


def encode_duration(seconds: float) -> Duration:
    """Seconds to a duration, to the nanosecond."""
    total = round(seconds * _NANOS)
    return Duration(seconds=total // _NANOS, nanos=total % _NANOS)


def decode_duration(message: Duration) -> float:
    """A duration to seconds."""
    return (message.seconds * _NANOS + message.nanos) / _NANOS  # rounded once


def decode_child_id(text: str, field: str) -> ChildId:
    """Read ``x-y``.

    Raises:
        CodecError: ``field`` is missing or no child id.
    """
    try:
        return ChildId.parse(text)
    except ValueError:
        raise CodecError(field, f"must be a child id x-y, not {text[:40]!r}") from None


def decode_notation(text: str) -> Architecture:
    """Read a net.

    Raises:
        CodecError: the notation is missing or no net.
    """
    try:
        return parse_notation(text)
    except NotationError as error:
        raise CodecError("notation", f"is no net: {error}") from error


def encode_shape(shape: InputShape) -> pb.InputShape:
    """Shape of an image."""
    return pb.InputShape(channels=shape.channels, height=shape.height, width=shape.width)


def decode_shape(message: pb.InputShape) -> InputShape:
    """Shape of an image."""
    return InputShape(channels=message.channels, height=message.height, width=message.width)


def encode_dataset(dataset: DatasetSummary) -> pb.DatasetSummary:
    """What a search knows about its data."""
    return pb.DatasetSummary(
        shape=encode_shape(dataset.shape),
        class_names=dataset.class_names,
        train_counts=dataset.counts.train,
        validation_counts=dataset.counts.validation,
        test_counts=dataset.counts.test,
        fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        patients=None if dataset.patients is None else _encode_patients(dataset.patients),
    )


def decode_dataset(message: pb.DatasetSummary) -> DatasetSummary:
    """What a search knows about its data."""
    return DatasetSummary(
        shape=decode_shape(message.shape),
        class_names=tuple(message.class_names),
        counts=PartCounts(
            train=tuple(message.train_counts),
            validation=tuple(message.validation_counts),
            test=tuple(message.test_counts),
        ),
        fingerprint=message.fingerprint,
        split_fingerprint=message.split_fingerprint,
        patients=_decode_patients(message.patients) if message.HasField("patients") else None,
    )


def _encode_patients(patients: PatientCounts) -> pb.PatientCounts:
    return pb.PatientCounts(
        source=enums.encode(patients.source),
        train_count=patients.train,
        validation_count=patients.validation,
        test_count=patients.test,
        leak_count=patients.leaks,
    )


def _decode_patients(message: pb.PatientCounts) -> PatientCounts:
    return PatientCounts(
        source=enums.decode(PatientSource, message.source),
        train=message.train_count,
        validation=message.validation_count,
        test=message.test_count,
        leaks=message.leak_count,
    )


def encode_resources(resources: Resources) -> pb.Resources:
    """What each worker gets."""
    return pb.Resources(threads=resources.threads, memory_limit_bytes=resources.memory_limit_bytes)


def decode_resources(message: pb.Resources) -> Resources:
    """What each worker gets."""
    return Resources(threads=message.threads, memory_limit_bytes=message.memory_limit_bytes)


def encode_runtime(runtime: Runtime) -> pb.Runtime:
    """What an attempt runs on."""
    return pb.Runtime(
        device=enums.encode(runtime.device),
        precision=enums.encode(runtime.precision),
        threads=runtime.threads,
        hardware=runtime.hardware,
        versions=dict(runtime.versions),
    )


def decode_runtime(message: pb.Runtime) -> Runtime:
    """What an attempt runs on."""
    return Runtime(
        device=enums.decode(Device, message.device),
        precision=enums.decode(Precision, message.precision),
        threads=message.threads,
        hardware=message.hardware,
        versions=tuple(sorted(message.versions.items())),
    )


def encode_evaluation(evaluation: Evaluation) -> pb.Evaluation:
    """Counts, and the two shares that follow from them."""
    return pb.Evaluation(
        loss=evaluation.loss,
        correct_counts=evaluation.correct,
        total_counts=evaluation.total,
        accuracy=float(evaluation.accuracy),
        balanced_accuracy=float(evaluation.balanced_accuracy),
    )


def decode_evaluation(message: pb.Evaluation) -> Evaluation:
    """The counts.

    Raises:
        CodecError: the counts are missing or contradict each other.
    """
    try:
        return Evaluation(loss=message.loss, correct=tuple(message.correct_counts), total=tuple(message.total_counts))
    except ValueError as error:
        raise CodecError("evaluation", f"has wrong counts: {error}") from error


def encode_epoch(result: EpochResult) -> pb.EpochResult:
    """One epoch."""
    return pb.EpochResult(
        epoch=result.epoch,
        training_loss=result.training_loss,
        validation=encode_evaluation(result.validation),
        seconds=result.seconds,
        images_per_second=result.images_per_second,
    )


def decode_epoch(message: pb.EpochResult) -> EpochResult:
    """One epoch."""
    return EpochResult(
        epoch=message.epoch,
        training_loss=message.training_loss,
        validation=decode_evaluation(message.validation),
        seconds=message.seconds,
        images_per_second=message.images_per_second,
    )


def encode_architecture(
    architecture: Architecture, *, graph_hash: str, param_count: int, flops: int, layers: tuple[LayerSummary, ...] = ()
) -> pb.Architecture:
    """A net with what is known about it; layers only where asked for."""
    return pb.Architecture(
        notation=format_notation(architecture),
        graph_hash=graph_hash,
        param_count=param_count,
        flops=flops,
        layers=[
            pb.Layer(
                position=layer.position,
                notation=format_layer(layer.layer),
                output_shape=layer.output_shape,
                param_count=layer.param_count,
                flops=layer.flops,
            )
            for layer in layers
        ],
    )


def encode_transformation(transformation: Transformation) -> pb.Transformation:
    """A transformation with its arguments, which have the names of the record's fields."""
    return pb.Transformation(operation=enums.encode(transformation.operation), **asdict(transformation))  # type: ignore[call-overload]


def decode_transformation(message: pb.Transformation) -> Transformation:
    """A transformation with its arguments.

    Raises:
        CodecError: the operation is missing or unknown.
    """
    kind = TRANSFORMATIONS[enums.decode(Operation, message.operation)]
    build: Callable[..., Transformation] = kind
    return build(**{field.name: getattr(message, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def encode_choice(choice: Choice) -> pb.Choice:
    """Why a child was chosen."""
    return pb.Choice(
        role=enums.encode(choice.role),
        rule=enums.encode(choice.rule),
        child_id=str(choice.child_id),
        metric_value=choice.metric_value,
        param_count=choice.param_count,
        runner_up=str(choice.runner_up) if choice.runner_up else "",
        margin=choice.margin,
        tie_break=enums.encode(choice.tie_break),
    )


def decode_choice(message: pb.Choice) -> Choice:
    """Why a child was chosen."""
    return Choice(
        role=enums.decode(Role, message.role),
        rule=enums.decode(Rule, message.rule),
        child_id=decode_child_id(message.child_id, "child_id"),
        metric_value=message.metric_value,
        param_count=message.param_count,
        runner_up=decode_child_id(message.runner_up, "runner_up") if message.runner_up else None,
        margin=message.margin if message.HasField("margin") else None,
        tie_break=enums.decode(TieBreak, message.tie_break),
    )
