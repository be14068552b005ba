# SPDX-License-Identifier: Apache-2.0
"""Decides whether a search can start: cheap checks first, then the data, then whether the net fits it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nas.architecture import Architecture, initial_architecture
from nas.augmentations import AUTO, parse_augmentations
from nas.catalogue import CATALOGUE, DatasetInfo, find_dataset, known_datasets
from nas.config import NARROW, SearchConfig, SelectionMetric
from nas.notation import NotationError, parse_notation
from nas.recipe import MOST_EPOCHS, planned_epochs
from nas.search import commands
from nas.search.conditions import DatasetSummary, Resources
from nas.search.strategies import STRATEGIES
from nas.shapes import ShapeError, param_count, training_bytes
from server.engine.errors import InvalidSettingError
from server.engine.settling import is_imbalanced, settle
from server.executor.preparation import DataPreparation

MAX_INITIAL_LAYERS = 200
"""Children have more layers than their parents, so this is less than ``nas.notation.MAX_LAYERS``. It also bounds the
time of a decision, in which the server does nothing else."""
_MAX_COUNT = 2**63 - 1
"""The largest number that an event can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the server has to offer.

    Attributes:
        threads: of one worker, where the search does not say.
        memory_limit_bytes: of one worker.
        software: name and version of the server.
    """

    preparation: DataPreparation
    threads: int
    memory_limit_bytes: int
    software: str

    async def admit(
        self, config: SearchConfig, request_id: str, principal: str, *, is_verifying: bool = False
    ) -> commands.StartSearch:
        """Check everything that can be checked before training and fix what the search does not say.

        Args:
            config: of the search.
            request_id: of the call.
            principal: who asks.
            is_verifying: whether files of data that seem unchanged are hashed again.

        Raises:
            InvalidSettingError: a setting cannot be used.
            DataError: the data cannot be used.
        """
        _require_strategy(config)
        info = _require_dataset(config)
        _require_augmentations(config, info)
        _require_initial(config)
        prepared = await self.preparation.prepare(config, is_verifying=is_verifying)
        dataset = prepared.summary
        resources = Resources(threads=config.threads or self.threads, memory_limit_bytes=self.memory_limit_bytes)
        settled = settle(config, info, dataset)
        _require_length(settled, dataset)
        _require_fit(_initial_model(settled, dataset), settled, dataset, resources)
        return commands.StartSearch(
            config=settled,
            request_id=request_id,
            dataset=dataset,
            resources=resources,
            warnings=(*prepared.warnings, *_warnings(config, dataset)),
            principal=principal,
            software=self.software,
        )


def default_threads(workers: int) -> int:
    """Share the processors that this process may use among the workers."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def default_memory_limit_bytes(workers: int) -> int:
    """Share nine tenths of the machine's memory among the workers."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total * 9 // 10 // workers


def _require_strategy(config: SearchConfig) -> None:
    if config.strategy not in STRATEGIES:
        message = f"there is no strategy {config.strategy[:80]!r}; the strategies are {', '.join(STRATEGIES)}"
        raise InvalidSettingError("strategy", "INVALID_CONFIG", message)


def _require_dataset(config: SearchConfig) -> DatasetInfo:
    """Find the data set, and check the settings that only some data sets have."""
    found = find_dataset(config.dataset)
    if found is None:
        known = ", ".join(known_datasets())
        message = f"there is no data set {config.dataset[:80]!r}; the data sets are {known}"
        raise InvalidSettingError("dataset", "UNKNOWN_DATASET", message)
    info, _ = found
    if "=" in config.class_map:
        _require_folder(config, "class_map", info)
    elif config.class_map and config.class_map not in info.class_maps:
        takers = " and ".join(name for name, other in CATALOGUE.items() if config.class_map in other.class_maps)
        message = f"--class-map {config.class_map} is for data set {takers}, not for {config.dataset[:80]!r}"
        raise InvalidSettingError("class_map", "INVALID_CONFIG", message)
    for name in ("fit", "group_regex", "sample_bits"):
        if getattr(config, name):
            _require_folder(config, name, info)
    return info


def _require_folder(config: SearchConfig, name: str, info: DatasetInfo) -> None:
    """Refuse a setting that has no effect on a data set that is no folder of images."""
    if not info.is_folder:
        option = f"--{name.replace('_', '-')}"
        message = f"{option} is for folders of images, not for data set {config.dataset[:80]!r}"
        raise InvalidSettingError(name, "INVALID_CONFIG", message)


def _require_augmentations(config: SearchConfig, info: DatasetInfo) -> None:
    """Refuse what makes another class of an image."""
    augment = config.training.augment
    kinds = () if augment == AUTO else parse_augmentations(augment)
    wrong = [kind for kind in kinds if kind in info.forbidden_augmentations]
    if wrong:
        message = (
            f"--augment {augment} is not for data set {info.name!r}, whose images {' and '.join(wrong)} would falsify: "
            f"{info.why_forbidden}; --augment {AUTO} takes {','.join(info.augmentations)}"
        )
        raise InvalidSettingError("augment", "INVALID_CONFIG", message)


def _initial_model(settled: SearchConfig, dataset: DatasetSummary) -> Architecture:
    return parse_notation(settled.initial) if settled.initial else initial_architecture(settled.block, dataset.classes)


def _require_initial(config: SearchConfig) -> None:
    """Refuse, before data are read, what is no net and no word for one."""
    if config.initial in ("", NARROW):
        return
    try:
        initial = parse_notation(config.initial)
    except NotationError as error:
        raise InvalidSettingError("initial", "INVALID_NOTATION", f"the initial model is no net: {error}") from error
    if len(initial.layers) > MAX_INITIAL_LAYERS:
        raise _unfit(f"the initial model has {len(initial.layers)} layers, more than {MAX_INITIAL_LAYERS}")


def _require_length(config: SearchConfig, dataset: DatasetSummary) -> None:
    """Refuse more steps than the epochs of a training can hold with so few images per epoch."""
    training, images = config.training, sum(dataset.counts.train)
    epochs = planned_epochs(training, images)
    if epochs > MOST_EPOCHS:
        message = (
            f"--min-steps {training.min_steps} takes {epochs} epochs of {images} training images with --batch-size "
            f"{training.batch_size}, more than {MOST_EPOCHS}; choose fewer steps or a smaller batch size"
        )
        raise InvalidSettingError("min_steps", "INVALID_CONFIG", message)


def _require_fit(
    architecture: Architecture, config: SearchConfig, dataset: DatasetSummary, resources: Resources
) -> None:
    """Check the initial model against the data and the caps."""
    if architecture.classes != dataset.classes:
        raise _unfit(
            f"the initial model ends with FC({architecture.classes}), "
            f"but data set {config.dataset!r} has {dataset.classes} classes"
        )
    try:
        parameters = param_count(architecture, dataset.shape)
    except ShapeError as error:
        raise _unfit(f"the initial model does not fit {dataset.shape} images: {error}") from error
    if parameters > config.max_parameters:
        count = f"{parameters:,}" if parameters <= _MAX_COUNT else "countless"
        raise _unfit(
            f"the initial model has {count} parameters, more than the {config.max_parameters:,} of --max-parameters"
        )
    needed = training_bytes(architecture, dataset.shape, config.training.batch_size)
    if needed > resources.memory_limit_bytes:
        raise _unfit(
            f"training the initial model takes up to {needed >> 20} MiB, more than the "
            f"{resources.memory_limit_bytes >> 20} MiB of a worker; choose a smaller --batch-size"
        )


def _unfit(message: str) -> InvalidSettingError:
    return InvalidSettingError("initial", "INVALID_ARCHITECTURE", message)


_SELECTED_BY = {
    None: "accuracy, as in the paper; --selection-metric balanced-accuracy is not fooled",
    SelectionMetric.ACCURACY: "accuracy all the same, as was asked",
    SelectionMetric.BALANCED_ACCURACY: "balanced accuracy, which is not fooled",
    SelectionMetric.AUTO: "balanced accuracy, which is not fooled; --preset paper selects by accuracy",
}


def _warnings(config: SearchConfig, dataset: DatasetSummary) -> tuple[str, ...]:
    if not is_imbalanced(dataset):
        return ()
    counts = dataset.counts.train
    share = max(counts) / sum(counts)
    return (
        f"the data set is imbalanced: always answering {dataset.class_names[counts.index(max(counts))]!r} is right for "
        f"{share:.1%} of the training images; children are selected by {_SELECTED_BY[config.selection_metric]}",
    )
