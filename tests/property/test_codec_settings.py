# SPDX-License-Identifier: Apache-2.0
"""Settings and enums on the wire: total in both directions, defaults where a field is left out, errors that name it."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import Enum
from typing import Any

import pytest
from fact_strategies import configs
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st
from setting_values import TIED_IN_TRAINING

from nas.api.v1 import search_pb2 as pb
from nas.blocks import BlockType
from nas.config import (
    Device,
    Imbalance,
    Precision,
    Preset,
    SearchConfig,
    SelectionMetric,
    TrainingConfig,
    search_settings,
)
from nas.folders import PatientSource
from nas.operations import Growth, Operation
from nas.presets import DEFAULT_PRESET, PRESETS
from nas.recipe import DecayScope, Finish, Schedule
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.search.state import ChildState, SearchState
from nas.selection import Role, Rule, TieBreak
from nas.settings import ConfigError, settings_of
from nas.transformations import SkipReason
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.settings import decode_config, decode_journaled, encode_config, encode_journaled

WIRE: dict[type[Enum], Any] = {
    BlockType: pb.BlockType,
    Preset: pb.Preset,
    Device: pb.Device,
    Precision: pb.Precision,
    SelectionMetric: pb.SelectionMetric,
    Imbalance: pb.Imbalance,
    Schedule: pb.Schedule,
    DecayScope: pb.DecayScope,
    Finish: pb.Finish,
    PatientSource: pb.PatientSource,
    Growth: pb.Growth,
    Operation: pb.Operation,
    SkipReason: pb.SkipReason,
    AttemptKind: pb.AttemptKind,
    LostReason: pb.LostReason,
    FailureReason: pb.FailureReason,
    StopReason: pb.StopReason,
    SearchFailure: pb.SearchFailure,
    Role: pb.Role,
    Rule: pb.Rule,
    TieBreak: pb.TieBreak,
    SearchState: pb.Search.State,
    ChildState: pb.Child.State,
}
SHOWN_ONLY = {pb.PauseReason.DESCRIPTOR}
"""Enums of answers that say what is the case at the moment; they are never read."""


def test_every_enum_of_the_wire_has_one_in_the_domain() -> None:
    """An enum that is added to the schema has to be added here, and so is tried below."""
    nested = {enum for message in (pb.Search, pb.Child) for enum in message.DESCRIPTOR.enum_types}

    known = {wire.DESCRIPTOR for wire in WIRE.values()} | SHOWN_ONLY
    assert set(pb.DESCRIPTOR.enum_types_by_name.values()) | nested == known


@pytest.mark.parametrize("kind", WIRE)
def test_enums_are_total(kind: type[Enum]) -> None:
    """Every number but 0 is a member of the same name, and every member comes back from its number."""
    wire = WIRE[kind]
    members = {number: enums.decode(kind, number) for number in wire.values() if number}

    assert set(kind) == set(members.values())
    for number, member in members.items():
        assert number == enums.encode(member)
        assert wire.Name(number).endswith(f"_{member.name}")


@pytest.mark.parametrize("kind", WIRE)
@pytest.mark.parametrize(("number", "reason"), [(0, "is missing"), (1_000, "has the unknown value 1000"), (-1, "-1")])
def test_an_unknown_number_names_its_field(kind: type[Enum], number: int, reason: str) -> None:
    """Neither nothing nor a number of a newer version passes for a member."""
    with pytest.raises(CodecError, match=reason) as caught:
        enums.decode(kind, number)

    assert caught.value.field in str(caught.value)
    assert caught.value.field


@pytest.mark.parametrize(
    ("message", "record"), [(pb.SearchConfig, SearchConfig), (pb.TrainingConfig, TrainingConfig)], ids=str
)
def test_every_field_of_the_schema_is_a_declared_setting(message: Any, record: type[Any]) -> None:
    """And the other way round, of the kind that the wire carries."""
    declared = {setting.wire_name: setting for setting in settings_of(record)}
    wire = dict(message.DESCRIPTOR.fields_by_name.items())
    wire.pop("training", None)

    assert wire.keys() == declared.keys()
    assert [each.name for each in fields(record) if each.name != "training"] == [
        each.name for each in declared.values()
    ]
    for name, setting in declared.items():
        assert _kind(wire[name]) == (None if setting.is_span else setting.kind.__name__), name
        assert wire[name].is_repeated == setting.is_tuple, name


def _kind(field: FieldDescriptor) -> str | None:
    if field.enum_type is not None:
        return str(field.enum_type.name)
    kinds = {"CPPTYPE_INT32": "int", "CPPTYPE_INT64": "int", "CPPTYPE_DOUBLE": "float", "CPPTYPE_STRING": "str"}
    return {getattr(FieldDescriptor, name): kind for name, kind in kinds.items()}.get(field.cpp_type)


def test_every_preset_says_what_it_sets() -> None:
    """By name, and nothing that the wire takes for not given: a journaled config would come back as another."""
    known = {setting.name: setting for setting in search_settings()}

    assert set(Preset) == set(PRESETS)
    assert DEFAULT_PRESET in Preset
    for changes in PRESETS.values():
        for name in changes:
            wire = {**pb.SearchConfig.DESCRIPTOR.fields_by_name, **pb.TrainingConfig.DESCRIPTOR.fields_by_name}
            field = wire[known[name].wire_name]
            declared = known[name].declaration
            can_tell = field.has_presence or field.enum_type is not None or declared.empty is None
            assert can_tell or declared.empty_word is not None or name == "batch_size"  # 0 is asked for by presets only


@settings(max_examples=200)
@given(config=configs)
def test_settings_come_back_as_they_were(config: SearchConfig) -> None:
    """Also after a trip through bytes."""
    message = pb.SearchConfig.FromString(encode_config(config).SerializeToString())

    assert config == decode_config(message)


@settings(max_examples=200)
@given(config=configs)
def test_journaled_settings_come_back_as_they_were(config: SearchConfig) -> None:
    """Also if a later version's preset sets everything otherwise: a journal holds what happened, not what would."""
    message = pb.SearchConfig.FromString(encode_journaled(config).SerializeToString())
    later = {each.name: object() for each in search_settings()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, config.preset, later)
        assert config == decode_journaled(message)


@pytest.mark.parametrize("augment", ["", "flip", "auto"])
def test_no_changes_can_be_asked_for_where_the_preset_has_some(augment: str) -> None:
    """By a word, because an empty text means the preset's; the journal needs none and keeps its bytes."""
    config = SearchConfig(dataset="kau", block=BlockType.INCEPTION, training=TrainingConfig(augment=augment))
    usual, journaled = encode_config(config), encode_journaled(config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, Preset.PAPER, {"augment": "affine"})
        message = encode_config(config)
        assert (augment or "none", augment, augment) == tuple(
            each.training.augment for each in (message, usual, journaled)
        )
        assert config == decode_config(message) == decode_journaled(journaled)
        assert journaled == encode_journaled(config)
        message.training.augment = ""
        assert "affine" == decode_config(message).training.augment


@pytest.mark.parametrize(("given", "read"), [(None, 0), (0, 0), (8, 8)])
def test_a_preset_can_leave_the_batch_size_to_the_data(given: int | None, read: int) -> None:
    """Whoever asks for a number gets it."""
    training = None if given is None else pb.TrainingConfig(batch_size=given)
    message = pb.SearchConfig(dataset="digits", block=pb.BLOCK_TYPE_INCEPTION, training=training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, DEFAULT_PRESET, {"batch_size": 0})
        assert read == decode_config(message).training.batch_size


@pytest.mark.parametrize("block", BlockType)
def test_what_is_left_out_takes_the_preset_value(block: BlockType) -> None:
    """Data set and block alone mean the default preset; with the paper's they mean the declared defaults."""
    message = pb.SearchConfig(dataset="digits", block=enums.encode(block))
    defaults = SearchConfig(dataset="digits", block=block)

    chosen = dict(PRESETS[DEFAULT_PRESET])
    own = {name: chosen.pop(name) for name in list(chosen) if name in _names(defaults)}
    training = TrainingConfig(**chosen)
    assert replace(defaults, preset=DEFAULT_PRESET, training=training, **own) == decode_config(message)
    message.preset = pb.PRESET_PAPER
    assert defaults == decode_config(message)


@settings(max_examples=200)
@given(config=configs, data=st.data())
def test_a_partial_request_takes_defaults_for_the_rest(config: SearchConfig, data: st.DataObject) -> None:
    """Whichever fields are left out, those that are given count and the others have the paper's defaults."""
    config = replace(config, preset=Preset.PAPER)
    message = encode_config(config)
    default = SearchConfig(dataset=config.dataset, block=config.block)
    names = [name for name in _names(config) if name not in ("dataset", "block", "preset", "training")]
    left_out = data.draw(st.sets(st.sampled_from(names)))
    if left_out & {"folds", "fold"}:  # one means nothing without the other
        left_out |= {"folds", "fold"}
    training_left_out = data.draw(st.sets(st.sampled_from(_names(config.training))))
    training_left_out |= set().union(*(tied for tied in TIED_IN_TRAINING if tied & training_left_out))
    for name in left_out:
        message.ClearField("time_budget" if name == "time_budget_seconds" else name)  # type: ignore[arg-type]
    for name in training_left_out:
        message.training.ClearField(name)  # type: ignore[arg-type]

    decoded = decode_config(message)

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
    ({"training": pb.TrainingConfig(batch_size=-1)}, "batch_size"),
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
