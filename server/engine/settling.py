# SPDX-License-Identifier: Apache-2.0
"""Settings that the data choose: what is asked for as open is settled when a search starts (ADR 0012).

The journal holds what was settled, so a search does not depend on rules that a later version may change.
"""

from __future__ import annotations

from dataclasses import replace

from nas.architecture import narrow_architecture
from nas.augmentations import AUTO
from nas.catalogue import DatasetInfo
from nas.config import NARROW, Preset, SearchConfig, SelectionMetric
from nas.notation import format_notation
from nas.recipe import settled_batch_size
from nas.search.conditions import DatasetSummary

_IMBALANCE = 2
"""A set whose most frequent class has more than this many times the images of the rarest one is called imbalanced."""


def settle(config: SearchConfig, info: DatasetInfo, dataset: DatasetSummary) -> SearchConfig:
    """Choose by the data what is open: metric, kinds of augmentation, batch size and initial model."""
    if config.selection_metric is SelectionMetric.AUTO:
        plain = None if config.preset is Preset.PAPER else SelectionMetric.ACCURACY
        metric = SelectionMetric.BALANCED_ACCURACY if is_imbalanced(dataset) else plain
        config = replace(config, selection_metric=metric)
    if config.training.augment == AUTO:
        config = replace(config, training=replace(config.training, augment=",".join(info.augmentations)))
    if not config.training.batch_size:
        batch_size = settled_batch_size(sum(dataset.counts.train))
        config = replace(config, training=replace(config.training, batch_size=batch_size))
    if config.initial == NARROW:
        side = min(dataset.shape.height, dataset.shape.width)
        narrow = narrow_architecture(config.block, dataset.classes, side=side)
        config = replace(config, initial=format_notation(narrow))
    return config


def is_answered_by(asked: SearchConfig, config: SearchConfig) -> bool:
    """Whether a search with ``config`` is the one that was asked for, what was open perhaps settled by the data."""
    if asked.selection_metric is SelectionMetric.AUTO:
        config = replace(config, selection_metric=SelectionMetric.AUTO)
    if asked.training.augment == AUTO:
        config = replace(config, training=replace(config.training, augment=AUTO))
    if not asked.training.batch_size:
        config = replace(config, training=replace(config.training, batch_size=0))
    if asked.initial == NARROW:
        config = replace(config, initial=NARROW)
    return asked == config


def is_imbalanced(dataset: DatasetSummary) -> bool:
    """Whether always answering the most frequent class looks better than it is."""
    return max(dataset.counts.train) > _IMBALANCE * min(dataset.counts.train)
