# SPDX-License-Identifier: Apache-2.0
"""What the digest covers and what it leaves out, field by field."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from search_driver import DATASET, RUNTIME, Driver, Loses, make_config, scripted
from setting_values import another

from nas.child import ChildId
from nas.config import Device, search_settings
from nas.notation import parse_notation
from nas.search.conditions import Resources
from nas.search.digest import canonical_result, digest
from nas.search.reasons import FailureReason, LostReason, StopReason
from nas.search.state import Child, ChildState, Search, SearchState
from nas.settings import Setting
from nas.transformations import Widen

WINNER = ChildId(1, 2)
FIRST_SETTINGS = {
    *("dataset", "block", "preset", "seed", "initial", "input_size", "train_limit", "max_iterations", "threads"),
    *("time_budget_seconds", "max_attempts", "max_failed_children", "max_parameters", "selection_metric", "training"),
}
FIRST_TRAINING = {
    *("learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "batch_size", "max_epochs", "patience"),
    *("device", "precision"),
}
"""What digests have always held. These lists never change: a later setting is left out at its default."""


def _search() -> Search:
    return Driver(make_config(max_iterations=1), scripted({"1-2": 90})).run()


def _with_child(search: Search, child_id: ChildId, **changes: Any) -> Search:
    child = replace(search.children[child_id], **changes)
    return replace(search, children=MappingProxyType({**search.children, child_id: child}))


def _with_epoch(change: Callable[[Any], Any]) -> Callable[[Search], Search]:
    def apply(search: Search) -> Search:
        first, *rest = search.children[WINNER].epochs
        return _with_child(search, WINNER, epochs=(change(first), *rest))

    return apply


def _with_start(**changes: Any) -> Callable[[Search], Search]:
    return lambda search: replace(search, started=replace(search.started, **changes))


def _ulp(value: float) -> float:
    return math.nextafter(value, math.inf)


def test_the_digest_is_the_hash_of_canonical_json() -> None:
    """SHA-256 of JSON with sorted keys and no spaces, which any other program can compute."""
    search = _search()

    text = json.dumps(canonical_result(search), sort_keys=True, separators=(",", ":"), default=lambda e: e.value)

    assert hashlib.sha256(text.encode()).hexdigest() == digest(search)
    assert text.isascii()


def test_the_same_search_has_the_same_digest() -> None:
    """Twice the same commands, twice the same result."""
    assert digest(_search()) == digest(_search())


def test_children_are_sorted_as_numbers() -> None:
    """2-10 comes after 2-9, in whatever order they are known."""
    search = _search()
    many = {ChildId(2, index): replace(search.children[WINNER], child_id=ChildId(2, index)) for index in (10, 9, 2)}

    found = canonical_result(replace(search, children=MappingProxyType({**many, **search.children})))

    expected = ["0-1", "1-1", "1-2", "1-3", "1-4", "2-2", "2-9", "2-10"]
    assert expected == [child["child_id"] for child in found["children"]]


def test_losses_and_accuracies_are_hex_floats() -> None:
    """No digit is lost and none is invented."""
    found = canonical_result(_search())

    epoch = found["children"][2]["epochs"][1]
    assert {"epoch": 2, "training_loss": (0.5).hex(), "loss": (0.5).hex(), "accuracy": (0.9).hex()} == epoch


def test_a_value_without_canonical_form_is_an_error() -> None:
    """Nothing is put into the digest by its repr, which may hold an address."""
    search = replace(_search(), stop=object())  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="object has no canonical form"):
        digest(search)


OTHER_START: dict[str, Any] = {
    "request_id": "r-2",
    "principal": "bob",
    "software": "nas 9",
    "warnings": ("x",),
    "resources": Resources(threads=9, memory_limit_bytes=1),
    "dataset": replace(DATASET, fingerprint="0" * 64),
}
OTHER_CHILD: dict[str, Any] = {
    "attempts": 9,
    "started_attempt": 9,
    "lost_attempts": 2,
    "out_of_memory": 1,
    "runtime": replace(RUNTIME, device=Device.CUDA),
    "failure_detail": "x",
    # These follow from the notation and the epochs, which are covered.
    "graph_hash": "x",
    "flops": 1,
    "is_stopped_early": True,
    "best_epoch": 1,
}
LEFT_OUT: dict[str, Callable[[Search], Search]] = {
    **{name: _with_start(**{name: value}) for name, value in OTHER_START.items()},
    **{name: partial(_with_child, child_id=WINNER, **{name: value}) for name, value in OTHER_CHILD.items()},
    "seconds": _with_epoch(lambda result: replace(result, seconds=9.0)),
    "images_per_second": _with_epoch(lambda result: replace(result, images_per_second=9.0)),
    "test evaluation": lambda search: replace(search, evaluation=None),
}


@pytest.mark.parametrize("change", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_the_digest_leaves_out(change: Callable[[Search], Search]) -> None:
    """Who asked, when, how fast, how often tried and on what."""
    search = _search()

    changed = change(search)

    assert search != changed
    assert digest(search) == digest(changed)


COVERED: dict[str, Callable[[Search], Search]] = {
    "state": lambda search: replace(search, state=SearchState.FAILED),
    "stop": lambda search: replace(search, stop=StopReason.ACCURACY_DECLINED),
    "selections": lambda search: replace(search, selections=()),
    "role": lambda search: replace(
        search, selections=(replace(search.selections[0], choices=search.selections[0].choices[::-1]),)
    ),
    "parent": lambda search: _with_child(search, WINNER, parent_id=ChildId(1, 1)),
    "arguments": lambda search: _with_child(search, WINNER, transformation=Widen(1, 64)),
    "notation": lambda search: _with_child(search, WINNER, architecture=parse_notation("F() FC(2)")),
    "outcome": lambda search: _with_child(search, ChildId(1, 1), state=ChildState.CANCELLED),
    "failure": lambda search: _with_child(search, WINNER, failure=FailureReason.DIVERGED),
    "weights": lambda search: _with_child(search, WINNER, weights_sha256="0" * 64),
    "epochs": lambda search: _with_child(search, WINNER, epochs=search.children[WINNER].epochs[:1]),
    "epoch": _with_epoch(lambda result: replace(result, epoch=2)),
    "training loss": _with_epoch(lambda result: replace(result, training_loss=_ulp(result.training_loss))),
    "loss": _with_epoch(
        lambda result: replace(result, validation=replace(result.validation, loss=_ulp(result.validation.loss)))
    ),
    "accuracy": _with_epoch(lambda result: replace(result, validation=replace(result.validation, correct=(45, 46)))),
    "a child less": lambda search: replace(
        search, children=MappingProxyType({i: c for i, c in search.children.items() if i != ChildId(1, 4)})
    ),
}


@pytest.mark.parametrize("change", COVERED.values(), ids=COVERED.keys())
def test_what_the_digest_covers(change: Callable[[Search], Search]) -> None:
    """The last bit of a loss is enough to change it."""
    search = _search()

    assert digest(search) != digest(change(search))


def test_a_digest_of_defaults_holds_the_first_settings_only() -> None:
    """So a search of an older version keeps its digest, whatever is declared later."""
    found = canonical_result(Driver().search)["config"]

    assert FIRST_SETTINGS == found.keys()
    assert FIRST_TRAINING == found["training"].keys()


@pytest.mark.parametrize("setting", search_settings(), ids=lambda setting: setting.name)
def test_the_digest_covers_each_setting(setting: Setting) -> None:
    """Each that is declared, those of the training included, once it differs from its default."""
    search = _search()
    config, training = replace(search.config), replace(search.config.training)
    record = training if hasattr(training, setting.name) else config
    object.__setattr__(record, setting.name, another(setting, getattr(record, setting.name)))
    object.__setattr__(config, "training", training)

    changed = replace(search, started=replace(search.started, config=config))

    assert search.config != config
    assert digest(search) != digest(changed)


def test_the_last_bit_of_a_training_setting_counts() -> None:
    """No digit of a float is lost."""
    search = _search()
    training = replace(search.config.training, learning_rate=math.nextafter(0.001, 1))

    changed = replace(search, started=replace(search.started, config=replace(search.config, training=training)))

    assert digest(search) != digest(changed)


def test_every_field_is_tried() -> None:
    """A new attribute needs a line in the tests above."""
    covered = {"parent_id", "transformation", "architecture", "state", "failure", "weights_sha256", "epochs"}
    selected = {"child_id", "evaluation", "param_count"}  # covered by what was selected

    assert {each.name for each in fields(Child)} == covered | selected | OTHER_CHILD.keys()


def test_the_last_report_of_an_epoch_counts() -> None:
    """A search that lost attempts and repeated epochs has the digest of one that did not."""
    faults = {("1-1", 1): Loses(LostReason.WORKER_SIGNALLED, after=1), ("1-3", 1): Loses(LostReason.SERVER_RESTARTED)}

    disturbed = Driver(make_config(max_iterations=1), scripted({"1-2": 90}), faults).run()

    assert 1 == disturbed.children[ChildId(1, 1)].lost_attempts
    assert digest(_search()) == digest(disturbed)
