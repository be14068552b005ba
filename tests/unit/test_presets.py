# SPDX-License-Identifier: Apache-2.0
"""What the presets set, how help says it, and the small initial model of the efficient one."""

from __future__ import annotations

import pytest

from nas.api.v1 import search_pb2 as pb
from nas.architecture import narrow_architecture
from nas.blocks import BlockType
from nas.config import InputShape, Preset, SearchConfig, search_settings
from nas.notation import format_notation
from nas.presets import PRESETS, describe_setting, preset_values
from nas.shapes import flops, output_shapes, param_count
from server.codec.settings import decode_config

SETTINGS = {each.name: each for each in search_settings()}


@pytest.mark.parametrize(
    ("side", "notation"),
    [
        (8, "C(8,3,same,bn) SEIB(4,4,8,2,4,4,bn) GAP() FC(3)"),
        (28, "C(8,3,same,bn) P(2,2) SEIB(4,4,8,2,4,4,bn) P(2,2) SEIB(8,8,16,4,8,8,bn) GAP() FC(3)"),
        (64, "C(8,3,same,bn) P(4,4) SEIB(4,4,8,2,4,4,bn) P(2,2) SEIB(8,8,16,4,8,8,bn) GAP() FC(3)"),
    ],
)
def test_narrow_architecture(side: int, notation: str) -> None:
    """The larger the images, the more pools; every pool has a block behind it."""
    assert notation == format_notation(narrow_architecture(BlockType.SE_INCEPTION, 3, side=side))


@pytest.mark.parametrize("block_type", BlockType)
@pytest.mark.parametrize("side", [1, 5, 11, 12, 28, 32, 48, 64, 96, 128, 224, 512])
def test_narrow_architectures_are_small_and_fit(block_type: BlockType, side: int) -> None:
    """Whatever the size of the images: few parameters, and a last map of fewer than 12 rows."""
    shape = InputShape(channels=3, height=side, width=side)
    architecture = narrow_architecture(block_type, 10, side=side)

    assert param_count(architecture, shape) < 20_000
    assert output_shapes(architecture, shape)[-3][1] < 12
    assert flops(architecture, shape) < 15_000 * side**2


def test_without_a_preset_a_search_is_efficient() -> None:
    """And what is given counts, by whatever preset."""
    message = pb.SearchConfig(dataset="digits", block=pb.BLOCK_TYPE_INCEPTION, max_iterations=7)
    config = decode_config(message)

    assert (Preset.EFFICIENT, 7, 0.015) == (config.preset, config.max_iterations, config.training.learning_rate)
    message.preset = pb.PRESET_PAPER
    assert SearchConfig(dataset="digits", block=BlockType.INCEPTION, max_iterations=7) == decode_config(message)


def test_help_says_both_defaults_where_they_differ() -> None:
    """That of a search without a preset, and the paper's."""
    assert describe_setting(SETTINGS["learning_rate"]).endswith("[default: 0.015; in paper: 0.001]")
    assert describe_setting(SETTINGS["schedule"]).endswith("[default: one-cycle; in paper: constant]")
    assert describe_setting(SETTINGS["seed"]).endswith("[default: 0]")
    assert describe_setting(SETTINGS["preset"]).endswith("[default: efficient]")
    assert describe_setting(SETTINGS["dataset"]) == SETTINGS["dataset"].declaration.help


def test_presets_set_what_there_is() -> None:
    """Only names of settings, and values that the records accept."""
    for preset in PRESETS:
        values = dict(preset_values(preset))
        assert values.pop("preset") is preset
        assert values.keys() <= SETTINGS.keys()
        for name, value in values.items():
            SETTINGS[name].require(value)
