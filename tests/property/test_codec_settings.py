# SPDX-License-Identifier: Apache-2.0
"""Settings and enums on the wire: total in both directions, defaults where a field is left out, errors that name it."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import Enum
from typing import Any

import pytest
from fact_strategies import configs
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.api.v1 import search_pb2 as pb
from nas.architecture import BlockType
from nas.config import ConfigError, SearchConfig, SelectionMetric, TrainingConfig
from server.codec import enums
from server.codec.enums import CodecError, EnumCodec
from server.codec.settings import decode_config, encode_config

CODECS: dict[str, EnumCodec[Any]] = {name: codec for name, codec in vars(enums).items() if isinstance(codec, EnumCodec)}
WIRE: dict[str, Any] = {
    "BLOCK": pb.BlockType,
    "PRESET": pb.Preset,
    "DEVICE": pb.Device,
    "PRECISION": pb.Precision,
    "METRIC": pb.SelectionMetric,
    "IMBALANCE": pb.Imbalance,
    "PATIENT_SOURCE": pb.PatientSource,
    "OPERATION": pb.Operation,
    "SKIP_REASON": pb.SkipReason,
    "ATTEMPT_KIND": pb.AttemptKind,
    "LOST_REASON": pb.LostReason,
    "FAILURE_REASON": pb.FailureReason,
    "STOP_REASON": pb.StopReason,
    "SEARCH_FAILURE": pb.SearchFailure,
    "ROLE": pb.Role,
    "RULE": pb.Rule,
    "TIE_BREAK": pb.TieBreak,
    "SEARCH_STATE": pb.Search.State,
    "CHILD_STATE": pb.Child.State,
}
SHOWN_ONLY = {pb.PauseReason.DESCRIPTOR}
"""Enums of answers that say what is the case at the moment; they are never read."""


def test_every_enum_of_the_wire_has_a_codec() -> None:
    """An enum that is added to the schema has to be added here."""
    nested = {enum for message in (pb.Search, pb.Child) for enum in message.DESCRIPTOR.enum_types}

    known = {wire.DESCRIPTOR for wire in WIRE.values()} | SHOWN_ONLY
    assert set(pb.DESCRIPTOR.enum_types_by_name.values()) | nested == known
    assert set(WIRE) == set(CODECS)


@pytest.mark.parametrize("name", WIRE)
def test_enums_are_total(name: str) -> None:
    """Every number but 0 is a member, and every member comes back from its number."""
    members = [CODECS[name].decode(number) for number in WIRE[name].values() if number]

    kind: type[Enum] = type(members[0])
    assert set(kind) == set(members)
    assert [number for number in WIRE[name].values() if number] == [CODECS[name].encode(member) for member in members]


@pytest.mark.parametrize("name", WIRE)
@pytest.mark.parametrize(("number", "reason"), [(0, "is missing"), (1_000, "has the unknown value 1000"), (-1, "-1")])
def test_an_unknown_number_names_its_field(name: str, number: int, reason: str) -> None:
    """Neither nothing nor a number of a newer version passes for a member."""
    with pytest.raises(CodecError, match=reason) as caught:
        CODECS[name].decode(number)

    assert caught.value.field in str(caught.value)
    assert caught.value.field


@settings(max_examples=200)
@given(config=configs)
def test_settings_come_back_as_they_were(config: SearchConfig) -> None:
    """Also after a trip through bytes."""
    message = pb.SearchConfig.FromString(encode_config(config).SerializeToString())

    assert config == decode_config(message)


@pytest.mark.parametrize("block", BlockType)
def test_what_is_left_out_takes_the_preset_value(block: BlockType) -> None:
    """Data set, block and preset alone mean the defaults of the domain; without a preset the data choose the metric."""
    message = pb.SearchConfig(dataset="digits", block=enums.BLOCK.encode(block))
    defaults = SearchConfig(dataset="digits", block=block)

    assert replace(defaults, selection_metric=SelectionMetric.AUTO) == decode_config(message)
    message.preset = pb.PRESET_PAPER
    assert defaults == decode_config(message)


@settings(max_examples=200)
@given(config=configs, data=st.data())
def test_a_partial_request_takes_defaults_for_the_rest(config: SearchConfig, data: st.DataObject) -> None:
    """Whichever fields are left out, those that are given count and the others have their defaults."""
    message = encode_config(config)
    default = SearchConfig(dataset=config.dataset, block=config.block)
    names = [name for name in _names(config) if name not in ("dataset", "block", "training")]
    left_out = data.draw(st.sets(st.sampled_from(names)))
    if left_out & {"folds", "fold"}:  # one means nothing without the other
        left_out |= {"folds", "fold"}
    training_left_out = data.draw(st.sets(st.sampled_from(_names(config.training))))
    for name in left_out:
        message.ClearField("time_budget" if name == "time_budget_seconds" else name)  # type: ignore[arg-type]
    for name in training_left_out:
        message.training.ClearField(name)  # type: ignore[arg-type]

    decoded = decode_config(message)

    if not (message.preset or message.selection_metric):
        default = replace(default, selection_metric=SelectionMetric.AUTO)
        left_out.add("selection_metric")
    training = replace(config.training, **{name: getattr(TrainingConfig(), name) for name in training_left_out})
    assert replace(config, **{name: getattr(default, name) for name in left_out}, training=training) == decoded


def _names(record: SearchConfig | TrainingConfig) -> list[str]:
    return [field.name for field in fields(record)]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"block": 0}, "block"),
    ({"block": 9}, "block"),
    ({"preset": 9}, "preset"),
    ({"selection_metric": 9}, "selection_metric"),
    ({"dataset": ""}, "dataset"),
    ({"seed": -1}, "seed"),
    ({"input_size": 4097}, "input_size"),
    ({"train_limit": -1}, "train_limit"),
    ({"max_iterations": -1}, "max_iterations"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_failed_children": 0}, "max_failed_children"),
    ({"max_parameters": 0}, "max_parameters"),
    ({"max_parameters": 2**63 - 1}, "max_parameters"),
    ({"threads": 2**31 - 1}, "threads"),
    ({"class_map": "five"}, "class_map"),
    ({"class_map": "1=a,2=a"}, "class_map"),
    ({"class_map": "1=a,1=b"}, "class_map"),
    ({"fit": "stretch"}, "fit"),
    ({"sample_bits": 7}, "sample_bits"),
    ({"sample_bits": 17}, "sample_bits"),
    ({"group_regex": "BC(["}, "group_regex"),
    ({"group_regex": "(B)(C)"}, "group_regex"),
    ({"max_bad_files": -1}, "max_bad_files"),
    ({"folds": 2, "fold": 1}, "folds"),
    ({"folds": 21, "fold": 1}, "folds"),
    ({"folds": -3, "fold": 1}, "folds"),
    ({"folds": 5}, "fold"),
    ({"folds": 5, "fold": 6}, "fold"),
    ({"folds": 5, "fold": -1}, "fold"),
    ({"fold": 1}, "fold"),
    ({"time_budget": Duration(seconds=-1)}, "time_budget_seconds"),
    ({"time_budget": Duration(seconds=2**63 - 1)}, "time_budget_seconds"),
    ({"time_budget": Duration(nanos=1)}, "time_budget"),
    ({"training": pb.TrainingConfig(learning_rate=float("nan"))}, "learning_rate"),
    ({"training": pb.TrainingConfig(weight_decay=float("inf"))}, "weight_decay"),
    ({"training": pb.TrainingConfig(batch_size=0)}, "batch_size"),
    ({"training": pb.TrainingConfig(max_epochs=0)}, "max_epochs"),
    ({"training": pb.TrainingConfig(patience=-5)}, "patience"),
    ({"training": pb.TrainingConfig(device=9)}, "device"),  # type: ignore[arg-type]
    ({"training": pb.TrainingConfig(precision=9)}, "precision"),  # type: ignore[arg-type]
    ({"training": pb.TrainingConfig(imbalance=9)}, "imbalance"),  # type: ignore[arg-type]
    ({"training": pb.TrainingConfig(augment="flip,blur")}, "augment"),
    ({"training": pb.TrainingConfig(augment="flip,flip")}, "augment"),
    ({"training": pb.TrainingConfig(augment="flip,")}, "augment"),
]


@pytest.mark.parametrize(("fields", "name"), REFUSED, ids=str)
def test_a_setting_that_means_nothing_is_named(fields: dict[str, Any], name: str) -> None:
    """Whether the wire or the domain refuses it, the error says which field."""
    with pytest.raises((CodecError, ConfigError)) as caught:
        decode_config(pb.SearchConfig(**{"dataset": "digits", "block": 1, **fields}))

    assert isinstance(caught.value, CodecError | ConfigError)
    assert name == caught.value.field
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("folds", "fold", "sentence"),
    [
        (0, 2, "fold 2 needs folds: how many of them there are"),
        (5, 0, "fold is missing: which of the 5 folds is the test part, from 1"),
        (5, 6, "fold must lie between 1 and 5, the number of folds, not 6"),
        (2, 1, "folds must lie between 3 and 20, not 2"),
    ],
)
def test_a_fold_without_its_folds_is_one_sentence(folds: int, fold: int, sentence: str) -> None:
    """One without the other means nothing, and the sentence says which of them to give."""
    with pytest.raises(ConfigError) as caught:
        SearchConfig(dataset="digits", block=BlockType.INCEPTION, folds=folds, fold=fold)

    assert sentence == str(caught.value)


def test_no_metric_is_not_the_first_metric() -> None:
    """Left open, the choice stays with the preset; it does not become ACCURACY on the way."""
    config = SearchConfig(dataset="digits", block=BlockType.INCEPTION)

    assert decode_config(encode_config(config)).selection_metric is None
    for metric in SelectionMetric:
        assert metric is decode_config(encode_config(replace(config, selection_metric=metric))).selection_metric


def test_members_have_the_same_names_on_both_sides() -> None:
    """Otherwise a reader of the schema and a reader of the code would talk about different things."""
    for name, wire in WIRE.items():
        for number in wire.values():
            if number:
                member: Enum = CODECS[name].decode(number)
                assert wire.Name(number).endswith(f"_{member.name}")
