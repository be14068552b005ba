# SPDX-License-Identifier: Apache-2.0
"""The settings of a search on the wire, where a field left out takes the preset's value."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from nas.api.v1 import search_pb2 as pb
from nas.config import Device, Imbalance, Precision, Preset, SearchConfig, SelectionMetric, TrainingConfig
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.records import encode_duration


def encode_config(config: SearchConfig) -> pb.SearchConfig:
    """All settings, with the defaults filled in."""
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
        class_map=config.class_map,
        max_bad_files=config.max_bad_files,
        fit=config.fit,
        group_regex=config.group_regex,
        sample_bits=config.sample_bits,
        folds=config.folds,
        fold=config.fold,
        training=_encode_training(config.training),
    )
    if config.selection_metric is not None:
        message.selection_metric = enums.METRIC.encode(config.selection_metric)
    return message


def _encode_training(training: TrainingConfig) -> pb.TrainingConfig:
    return pb.TrainingConfig(
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
        imbalance=enums.IMBALANCE.encode(training.imbalance),
        augment=training.augment,
    )


_OPTIONAL_SETTINGS = (
    "input_size",
    "train_limit",
    "max_iterations",
    "max_attempts",
    "max_failed_children",
    "max_parameters",
    "threads",
    "max_bad_files",
    "folds",
    "fold",
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
    elif not message.preset:
        settings["selection_metric"] = SelectionMetric.AUTO
    return SearchConfig(
        dataset=message.dataset,
        block=enums.BLOCK.decode(message.block),
        preset=enums.PRESET.decode_or(message.preset, Preset.PAPER),
        seed=message.seed,
        initial=message.initial,
        class_map=message.class_map,
        fit=message.fit,
        group_regex=message.group_regex,
        sample_bits=message.sample_bits,
        training=TrainingConfig(
            device=enums.DEVICE.decode_or(message.training.device, Device.AUTO),
            precision=enums.PRECISION.decode_or(message.training.precision, Precision.AUTO),
            imbalance=enums.IMBALANCE.decode_or(message.training.imbalance, Imbalance.NONE),
            augment=message.training.augment,
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
