# SPDX-License-Identifier: Apache-2.0
"""What each preset sets, in one place; a setting that none names keeps its declared default, which is the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.augmentations import AUTO
from nas.config import NARROW, Preset, SelectionMetric
from nas.operations import Growth, Operation
from nas.recipe import DecayScope, Finish, Schedule
from nas.settings import Setting

DEFAULT_PRESET = Preset.EFFICIENT
"""What a search has that names no preset."""

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    Preset.PAPER: {},
    Preset.EFFICIENT: {
        "selection_metric": SelectionMetric.AUTO,
        "initial": NARROW,
        "operations": tuple(Operation),
        "growth": Growth.PROPORTIONAL,
        "max_iterations": 2,
        "finish": Finish.FULL,
        "threads": 1,
        "learning_rate": 0.015,
        "batch_size": 0,
        "max_epochs": 4,
        "min_steps": 400,
        "schedule": Schedule.ONE_CYCLE,
        "label_smoothing": 0.05,
        "decay_scope": DecayScope.WEIGHTS,
        "ema": 0.998,
        "augment": AUTO,
    },
}
"""What a preset sets beside the declared defaults; docs/adr/0020 has the measurements.

A preset can only set what the wire can tell from not given: enums, ``optional`` fields, texts that cannot be empty or
have a word for it.
"""


def preset_values(preset: Preset | None) -> Mapping[str, Any]:
    """Return what is set where a preset, or none, is named: the preset itself among it."""
    chosen = DEFAULT_PRESET if preset is None else preset
    return {"preset": chosen, **PRESETS[chosen]}


def describe_setting(setting: Setting) -> str:
    """Return the help of a setting with its default, and with that of the paper where it is another one."""
    default, paper = (
        setting.text_of(preset_values(preset).get(setting.name, setting.default)) for preset in (None, Preset.PAPER)
    )
    if not default:
        return setting.declaration.help
    is_shared = default == paper or setting.name == "preset"
    return f"{setting.declaration.help} [default: {default}{'' if is_shared else f'; in paper: {paper}'}]"
