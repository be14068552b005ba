# SPDX-License-Identifier: Apache-2.0
"""The records that events, requests and answers share: data, measurements, nets, choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields

from google.protobuf.duration_pb2 import Duration

from nas.api.v1 import search_pb2 as pb
from nas.architecture import Architecture
from nas.canonical_json import set_fields
from nas.child import EpochResult, Evaluation
from nas.config import Device, InputShape, Precision
from nas.notation import NotationError, format_layer, format_notation, parse_notation
from nas.operations import Operation
from nas.search.conditions import DatasetSummary, PartCounts, PatientCounts, Resources, Runtime
from nas.selection import Choice
from nas.shapes import LayerSummary
from nas.transformations import TRANSFORMATIONS, Transformation
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.mirror import Codec, mirror

_NANOS = 1_000_000_000

SHAPE = mirror(InputShape, pb.InputShape)
RESOURCES = mirror(Resources, pb.Resources)
PATIENTS = mirror(
    PatientCounts,
    pb.PatientCounts,
    train="train_count",
    validation="validation_count",
    test="test_count",
    leaks="leak_count",
)
CHOICE = mirror(Choice, pb.Choice)


def encode_duration(seconds: float) -> Duration:
    """Seconds to a duration, to the nanosecond."""
    total = round(seconds * _NANOS)
    return Duration(seconds=total // _NANOS, nanos=total % _NANOS)


def decode_duration(message: Duration) -> float:
    """A duration to seconds."""
    return (message.seconds * _NANOS + message.nanos) / _NANOS  # rounded once


def decode_notation(text: str) -> Architecture:
    """Read a net.

    Raises:
        CodecError: the notation is missing or no net.
    """
    try:
        return parse_notation(text)
    except NotationError as error:
        raise CodecError("notation", f"is no net: {error}") from error


def encode_dataset(dataset: DatasetSummary) -> pb.DatasetSummary:
    """What a search knows about its data."""
    return pb.DatasetSummary(
        shape=SHAPE.encode(dataset.shape),
        class_names=dataset.class_names,
        train_counts=dataset.counts.train,
        validation_counts=dataset.counts.validation,
        test_counts=dataset.counts.test,
        fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        patients=None if dataset.patients is None else PATIENTS.encode(dataset.patients),
    )


def decode_dataset(message: pb.DatasetSummary) -> DatasetSummary:
    """What a search knows about its data."""
    return DatasetSummary(
        shape=SHAPE.decode(message.shape),
        class_names=tuple(message.class_names),
        counts=PartCounts(
            train=tuple(message.train_counts),
            validation=tuple(message.validation_counts),
            test=tuple(message.test_counts),
        ),
        fingerprint=message.fingerprint,
        split_fingerprint=message.split_fingerprint,
        patients=PATIENTS.decode(message.patients) if message.HasField("patients") else None,
    )


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
    """A transformation with its arguments, which have the names of the record's fields; without those at a default."""
    return pb.Transformation(operation=enums.encode(transformation.operation), **set_fields(transformation))


def decode_transformation(message: pb.Transformation) -> Transformation:
    """A transformation with its arguments.

    Raises:
        CodecError: the operation is missing or unknown.
    """
    kind = TRANSFORMATIONS[enums.decode(Operation, message.operation)]
    build: Callable[..., Transformation] = kind
    given = {field.name for field, _ in message.ListFields()}
    names = [field.name for field in fields(kind) if field.default is MISSING or field.name in given]  # type: ignore[arg-type]
    found = {name: getattr(message, name) for name in names}
    return build(**{name: value if isinstance(value, int) else tuple(value) for name, value in found.items()})


EVALUATION = Codec(encode_evaluation, decode_evaluation)
EPOCH = mirror(EpochResult, pb.EpochResult, {Evaluation: EVALUATION})
RUNTIME = Codec(encode_runtime, decode_runtime)
DATASET = Codec(encode_dataset, decode_dataset)
TRANSFORMATION = Codec(encode_transformation, decode_transformation)
