# SPDX-License-Identifier: Apache-2.0
"""How the parts of a record are put in words, the same in every view."""

from __future__ import annotations

from pathlib import PurePath

from client.text import count, percent, word
from nas.api.v1 import event_pb2, search_pb2
from nas.augmentations import NONE
from nas.blocks import BlockType
from nas.config import TrainingConfig
from nas.folders import PatientSource
from nas.recipe import Finish, finishing_epochs

_LONG_PATH = 20
BLOCKS = {block.value: search_pb2.BlockType.Value(f"BLOCK_TYPE_{block.name}") for block in BlockType}
"""The blocks by their name in a terminal."""

STOP_REASONS: dict[int, str] = {
    search_pb2.STOP_REASON_UNSPECIFIED: "it has not stopped",
    search_pb2.STOP_REASON_ACCURACY_DECLINED: "the best child was worse than that of the iteration before",
    search_pb2.STOP_REASON_MAX_ITERATIONS: "the most iterations allowed are done",
    search_pb2.STOP_REASON_TIME_BUDGET: "the time budget is used up",
    search_pb2.STOP_REASON_NO_VALID_CHILDREN: "an iteration had no child that could be trained",
    search_pb2.STOP_REASON_MAX_FAILED_CHILDREN: "the most failed children allowed have failed",
}
"""Why a search stopped, in words."""


def stop_reason(reason: int) -> str:
    """Say why a search stopped."""
    return STOP_REASONS.get(reason) or f"for reason {reason}, which this client does not know"


def describe_state(state: int, pause_reason: int) -> str:
    """Name the state of a search, and why it does not get on if it does not."""
    name = word(search_pb2.Search.State, state)
    if pause_reason == search_pb2.PAUSE_REASON_UNSPECIFIED:
        return name
    return f"{name}, paused: {word(search_pb2.PauseReason, pause_reason)}"


def pause_notice(before: int, now: int) -> str:
    """Say that a search has begun to wait, or goes on; empty if nothing has changed."""
    if before == now:
        return ""
    if now == search_pb2.PAUSE_REASON_UNSPECIFIED:
        return "The search goes on."
    if now == search_pb2.PAUSE_REASON_DISK_FULL:
        return "The server's disk is full: the search waits, and goes on by itself when there is room."
    if now == search_pb2.PAUSE_REASON_NO_FREE_WORKER:
        return (
            "All workers are busy with earlier searches: this one waits for its turn, which costs it no running time."
        )
    return f"The search waits: {word(search_pb2.PauseReason, now)}."


def short_dataset(dataset: str) -> str:
    """Name a data set where there is little room: of a long path only the end."""
    name, _, path = dataset.partition(":")
    return f"{name}:.../{PurePath(path).name}" if len(path) > _LONG_PATH else dataset


def block_name(block: int) -> str:
    """Name a block as ``--block`` does."""
    return next((name for name, value in BLOCKS.items() if value == block), f"block {block}")


def describe_transformation(transformation: search_pb2.Transformation) -> str:
    """Print a transformation as the core does, for example ``widen(3, by=32)``."""
    operation = word(search_pb2.Operation, transformation.operation).replace(" ", "_")
    arguments = [str(transformation.position)]
    if transformation.HasField("kernel"):
        arguments.append(f"kernel={transformation.kernel}")
    if transformation.HasField("by"):
        arguments.append(f"by={transformation.by}")
    if transformation.HasField("filters"):
        arguments.append(f"filters={transformation.filters}")
    if transformation.widths:
        arguments.append(f"widths=({','.join(map(str, transformation.widths))})")
    arguments += [name for name in ("same", "bn") if getattr(transformation, name)]
    return f"{operation}({', '.join(arguments)})"


def describe_origin(child: search_pb2.Child) -> str:
    """Say where a child comes from."""
    step = derivation(child)
    return f"{step} of {child.parent_id}" if child.parent_id else step


def derivation(child: search_pb2.Child | event_pb2.ChildProposed) -> str:
    """Say how a child was made from its parent: by a transformation, or by training the same net once more."""
    if child.HasField("transformation"):
        return describe_transformation(child.transformation)
    return "finishing" if child.parent_id else "initial model"


def finishing_length(config: search_pb2.SearchConfig, train_images: int) -> int:
    """Epochs of a finishing training; 0 if there is none, or if it is of a kind that this client does not know."""
    known = {search_pb2.Finish.Value(f"FINISH_{member.name}"): member for member in Finish}
    return finishing_epochs(config.training, known.get(config.finish, Finish.NONE), train_images)


def describe_runtime(runtime: search_pb2.Runtime) -> str:
    """Print what an attempt runs on."""
    device, precision = word(search_pb2.Device, runtime.device), word(search_pb2.Precision, runtime.precision)
    return f"{device}, {precision}, {count(runtime.threads, 'thread')}"


def describe_shape(shape: search_pb2.InputShape) -> str:
    """Print ``CxHxW``."""
    return f"{shape.channels}x{shape.height}x{shape.width}"


def patient_source(source: int) -> str:
    """Say what a data set is divided by; empty if the server does not say."""
    if source == search_pb2.PATIENT_SOURCE_UNSPECIFIED:
        return ""
    name = word(search_pb2.PatientSource, source)
    known = {member.name.lower().replace("_", " "): member.value for member in PatientSource}
    return known.get(name, name)


def settings_text(config: search_pb2.SearchConfig) -> str:
    """Name preset and seed, and of the rest what is not the paper's."""
    text = f"preset {word(search_pb2.Preset, config.preset)}, seed {config.seed}"
    if config.selection_metric:
        text += f", selected by {word(search_pb2.SelectionMetric, config.selection_metric)}"
    if config.finish > search_pb2.FINISH_NONE:
        text += f", finish {word(search_pb2.Finish, config.finish)}"
    if config.training.imbalance > search_pb2.IMBALANCE_NONE:
        text += f", against imbalance: {word(search_pb2.Imbalance, config.training.imbalance)}"
    if chosen := images_text(config.training):
        text += f", {chosen}"
    return text


def images_text(training: search_pb2.TrainingConfig) -> str:
    """Say how a training takes its images, where the data may have chosen it; empty where it is as in the paper."""
    texts = [] if training.augment in ("", NONE) else [f"augmented by {training.augment}"]
    if training.batch_size not in (0, TrainingConfig().batch_size):
        texts.append(f"{count(training.batch_size, 'image')} a step")
    return ", ".join(texts)


def fold_text(config: search_pb2.SearchConfig) -> str:
    """Print ``, fold 2 of 5``, or nothing for a set that is not divided into folds."""
    return f", fold {config.fold} of {config.folds}" if config.folds else ""


def part_sizes(dataset: search_pb2.DatasetSummary) -> str:
    """Print the shape of a data set and the sizes of its parts."""
    sizes = "/".join(str(sum(part)) for part in (dataset.train_counts, dataset.validation_counts, dataset.test_counts))
    classes = len(dataset.class_names)
    return f"{describe_shape(dataset.shape)}, {classes} classes, {sizes} images to train/validate/test"


def part_sizes_and_patients(dataset: search_pb2.DatasetSummary) -> str:
    """The same with the patients of the parts, if there are any."""
    has_patients = dataset.patients.train_count > 0
    return ", ".join((part_sizes(dataset), *([patient_counts(dataset.patients)] if has_patients else [])))


def patients_text(dataset: search_pb2.DatasetSummary) -> str:
    """Print how many patients each part has, and that none is in two; of older servers, that it is not known."""
    if not dataset.HasField("patients"):
        return "unknown; the server that started the search did not say"
    found = dataset.patients
    if found.source == search_pb2.PATIENT_SOURCE_NONE:
        return f"by image, {found.leak_count or 'none'} in two parts"
    return f"by {patient_source(found.source)}: {patient_counts(found)}"


def patient_counts(found: search_pb2.PatientCounts) -> str:
    """Print the patients of the three parts."""
    sizes = f"{found.train_count}/{found.validation_count}/{found.test_count}"
    return f"{sizes} patients, {found.leak_count or 'none'} in two parts"


def accuracy_text(evaluation: search_pb2.Evaluation) -> str:
    """Print an accuracy with the counts behind it."""
    counts = f"{sum(evaluation.correct_counts)}/{sum(evaluation.total_counts)}"
    return f"{percent(evaluation.accuracy)} ({counts})"


def validation_text(evaluation: search_pb2.Evaluation, part: str = "validation") -> str:
    """Print loss and accuracy on a part of the data."""
    return f"{part} loss {evaluation.loss:.4f}, {part} accuracy {accuracy_text(evaluation)}"


def baseline_text(evaluation: search_pb2.Evaluation) -> str:
    """Print the accuracy of always answering the commonest class of a part."""
    total = sum(evaluation.total_counts)
    commonest = max(evaluation.total_counts, default=0)
    return f"{percent(commonest / total)} ({commonest}/{total})" if total else "unknown"
