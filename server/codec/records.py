# SPDX-License-Identifier: Apache-2.0
"""The records that events, requests and answers share: settings, data, measurements, nets."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from nas.api.v1 import search_pb2 as pb
from nas.architecture import Architecture
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import Device, InputShape, Precision, Preset, SearchConfig, TrainingConfig
from nas.notation import format_layer, format_notation
from nas.search.facts import DatasetSummary, PartCounts, Resources, Runtime
from nas.selection import Choice
from nas.shapes import LayerSummary
from nas.transformations import AddBlock, AddConcat, AddLayer, Operation, Transformation, Widen, operation_of
from server.codec import enums
from server.codec.enums import CodecError

_NANOS = 1_000_000_000


def encode_duration(seconds: float) -> Duration:
    """Seconds to a duration, to the nanosecond."""
    total = round(seconds * _NANOS)
    return Duration(seconds=total // _NANOS, nanos=total % _NANOS)


def decode_duration(message: Duration) -> float:
    """A duration to seconds."""
    return message.seconds + message.nanos / _NANOS


def encode_config(config: SearchConfig) -> pb.SearchConfig:
    """All settings, with the defaults filled in."""
    training = config.training
    message = pb.SearchConfig(
        dataset=config.dataset,
        block=enums.BLOCK.encode(config.block),
        preset=enums.PRESET.encode(config.preset),
        seed=config.seed,
        initial=config.initial,
        input_size=config.input_size,
        train_limit=config.train_limit,
        max_iterations=config.max_iterations,
        time_budget=encode_duration(config.time_budget_seconds),
        max_attempts=config.max_attempts,
        max_failed_children=config.max_failed_children,
        max_parameters=config.max_parameters,
        threads=config.threads,
        training=pb.TrainingConfig(
            learning_rate=training.learning_rate,
            beta1=training.beta1,
            beta2=training.beta2,
            epsilon=training.epsilon,
            weight_decay=training.weight_decay,
            batch_size=training.batch_size,
            max_epochs=training.max_epochs,
            patience=training.patience,
            device=enums.DEVICE.encode(training.device),
            precision=enums.PRECISION.encode(training.precision),
        ),
    )
    if config.selection_metric is not None:
        message.selection_metric = enums.METRIC.encode(config.selection_metric)
    return message


_OPTIONAL_SETTINGS = (
    "input_size",
    "train_limit",
    "max_iterations",
    "max_attempts",
    "max_failed_children",
    "max_parameters",
    "threads",
)
_OPTIONAL_TRAINING = (
    "learning_rate",
    "beta1",
    "beta2",
    "epsilon",
    "weight_decay",
    "batch_size",
    "max_epochs",
    "patience",
)


def decode_config(message: pb.SearchConfig) -> SearchConfig:
    """Settings with the preset's values for what is left out.

    Raises:
        CodecError: an enum is missing or unknown.
        ConfigError: a setting is out of its range.
    """
    settings: dict[str, Any] = _present(message, _OPTIONAL_SETTINGS)
    if message.HasField("time_budget"):
        settings["time_budget_seconds"] = _whole_seconds(message.time_budget)
    if message.selection_metric:
        settings["selection_metric"] = enums.METRIC.decode(message.selection_metric)
    return SearchConfig(
        dataset=message.dataset,
        block=enums.BLOCK.decode(message.block),
        preset=enums.PRESET.decode_or(message.preset, Preset.PAPER),
        seed=message.seed,
        initial=message.initial,
        training=TrainingConfig(
            device=enums.DEVICE.decode_or(message.training.device, Device.AUTO),
            precision=enums.PRECISION.decode_or(message.training.precision, Precision.AUTO),
            **_present(message.training, _OPTIONAL_TRAINING),
        ),
        **settings,
    )


def _present(message: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _whole_seconds(duration: Duration) -> int:
    if duration.nanos:
        raise CodecError("time_budget", "must be whole seconds")
    return duration.seconds


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
        device=enums.DEVICE.encode(runtime.device),
        precision=enums.PRECISION.encode(runtime.precision),
        threads=runtime.threads,
        hardware=runtime.hardware,
        versions=dict(runtime.versions),
    )


def decode_runtime(message: pb.Runtime) -> Runtime:
    """What an attempt runs on."""
    return Runtime(
        device=enums.DEVICE.decode(message.device),
        precision=enums.PRECISION.decode(message.precision),
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
    """The counts."""
    return Evaluation(loss=message.loss, correct=tuple(message.correct_counts), total=tuple(message.total_counts))


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
    """A transformation with its arguments."""
    message = pb.Transformation(
        operation=enums.OPERATION.encode(operation_of(transformation)), position=transformation.position
    )
    if isinstance(transformation, AddLayer):
        message.kernel = transformation.kernel
    if isinstance(transformation, Widen):
        message.by = transformation.by
    return message


def decode_transformation(message: pb.Transformation) -> Transformation:
    """A transformation with its arguments."""
    match enums.OPERATION.decode(message.operation):
        case Operation.ADD_LAYER:
            return AddLayer(position=message.position, kernel=message.kernel)
        case Operation.ADD_BLOCK:
            return AddBlock(position=message.position)
        case Operation.WIDEN:
            return Widen(position=message.position, by=message.by)
        case Operation.CONCAT:
            return AddConcat(position=message.position)


def encode_choice(choice: Choice) -> pb.Choice:
    """Why a child was chosen."""
    return pb.Choice(
        role=enums.ROLE.encode(choice.role),
        rule=enums.RULE.encode(choice.rule),
        child_id=str(choice.child_id),
        metric_value=choice.metric_value,
        param_count=choice.param_count,
        runner_up=str(choice.runner_up) if choice.runner_up else "",
        margin=choice.margin,
        tie_break=enums.TIE_BREAK.encode(choice.tie_break),
    )


def decode_choice(message: pb.Choice) -> Choice:
    """Why a child was chosen."""
    return Choice(
        role=enums.ROLE.decode(message.role),
        rule=enums.RULE.decode(message.rule),
        child_id=ChildId.parse(message.child_id),
        metric_value=message.metric_value,
        param_count=message.param_count,
        runner_up=ChildId.parse(message.runner_up) if message.runner_up else None,
        margin=message.margin if message.HasField("margin") else None,
        tie_break=enums.TIE_BREAK.decode(message.tie_break),
    )
