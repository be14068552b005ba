# SPDX-License-Identifier: Apache-2.0
"""What keeps a training away from the checkpoints of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_training import LINEAR_NET, make_data, make_request

from nas.child import ChildId
from nas.config import Precision, TrainingConfig
from nas.training import FitRequest, Inherited, TrainingData, resolve_runtime
from nas.training.fingerprint import compute_fingerprint


def _change_pixel(data: TrainingData) -> TrainingData:
    images = data.train_images.copy()
    images[0, 0, 0, 0] ^= 1
    return replace(data, train_images=images)


def _change_label(data: TrainingData) -> TrainingData:
    return replace(data, validation_labels=np.roll(data.validation_labels, 1))


REQUEST = make_request()
INHERITED = Inherited(path=Path("p.safetensors"), sha256="ab", origins=(("a", "b"), ("c", "d")))
OTHER_REQUESTS = {
    "architecture": replace(REQUEST, architecture=LINEAR_NET),
    "learning rate": make_request(learning_rate=0.002),
    "precision": make_request(precision=Precision.BF16),
    "seed": replace(REQUEST, search_seed=4),
    "child": replace(REQUEST, child_id=ChildId(1, 3)),
    "threads": replace(REQUEST, threads=2),
    "inherited": replace(REQUEST, inherited=INHERITED),
}


@pytest.mark.parametrize("other", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS.keys())
def test_another_request_has_another_fingerprint(other: FitRequest) -> None:
    """Whatever changes the bits of a training keeps it away from the checkpoints of another."""
    fingerprints = {
        compute_fingerprint(request, resolve_runtime(request.training, request.threads), make_data())
        for request in (REQUEST, other)
    }

    assert 2 == len(fingerprints)


@pytest.mark.parametrize("change", [_change_pixel, _change_label])
def test_other_data_have_another_fingerprint(change: Callable[[TrainingData], TrainingData]) -> None:
    """One bit of one pixel is enough."""
    runtime = resolve_runtime(REQUEST.training, 1)

    fingerprints = {compute_fingerprint(REQUEST, runtime, data) for data in (make_data(), change(make_data()))}

    assert 2 == len(fingerprints)


def test_another_version_of_torch_has_another_fingerprint() -> None:
    """A checkpoint is not continued by a library that may round otherwise."""
    runtime = resolve_runtime(REQUEST.training, 1)
    upgraded = replace(runtime, versions=(("torch", "99.0"),))

    assert 2 == len({compute_fingerprint(REQUEST, each, make_data()) for each in (runtime, upgraded)})


@pytest.mark.parametrize("change", [{"sha256": "cd"}, {"origins": (("a", "d"), ("c", "b"))}])
def test_other_inherited_weights_have_another_fingerprint(change: dict[str, Any]) -> None:
    """Other contents, or the same ones in other places."""
    runtime = resolve_runtime(REQUEST.training, 1)
    requests = [replace(REQUEST, inherited=each) for each in (INHERITED, replace(INHERITED, **change))]

    assert 2 == len({compute_fingerprint(each, runtime, make_data()) for each in requests})


@pytest.mark.parametrize("change", [{"path": Path("elsewhere")}, {"origins": (("c", "d"), ("a", "b"))}])
def test_where_inherited_weights_lie_does_not_matter(change: dict[str, Any]) -> None:
    """Neither a moved file nor the order in which its tensors are named makes another training."""
    runtime = resolve_runtime(REQUEST.training, 1)
    requests = [replace(REQUEST, inherited=each) for each in (INHERITED, replace(INHERITED, **change))]

    assert 1 == len({compute_fingerprint(each, runtime, make_data()) for each in requests})


def test_the_folder_does_not_belong_to_the_fingerprint(tmp_path: Path) -> None:
    """A moved folder is still the same training."""
    runtime = resolve_runtime(REQUEST.training, 1)
    moved = replace(REQUEST, checkpoint_dir=tmp_path)

    assert 1 == len({compute_fingerprint(each, runtime, make_data()) for each in (REQUEST, moved)})


def test_a_new_setting_with_a_default_invalidates_no_checkpoint() -> None:
    """A later version adds a setting: a training that leaves it at its default is continued, another one is not."""
    runtime = resolve_runtime(REQUEST.training, 1)
    later: Any = make_dataclass(
        "TrainingConfig", [("dropout", float, 0.0)], bases=(TrainingConfig,), frozen=True, slots=True, kw_only=True
    )
    settings = {field.name: getattr(REQUEST.training, field.name) for field in fields(REQUEST.training)}
    upgraded = [replace(REQUEST, training=later(**settings, dropout=dropout)) for dropout in (0.0, 0.5)]

    before, same, other = (compute_fingerprint(each, runtime, make_data()) for each in (REQUEST, *upgraded))

    assert before == same
    assert before != other
