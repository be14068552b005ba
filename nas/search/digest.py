# SPDX-License-Identifier: Apache-2.0
"""One hash of what a search found: equal for an undisturbed run and for one that was killed at every turn.

Left out on purpose: ids of search and request, sequence numbers, times, speeds, attempts, workers, lost attempts.
Equality is promised only without a time budget, because that is the one rule that looks at a clock.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

from nas.canonical_json import set_fields
from nas.child import EpochResult
from nas.config import SearchConfig
from nas.notation import format_notation
from nas.search.state import Child, Search
from nas.transformations import format_transformation


def digest(search: Search) -> str:
    """Return the SHA-256, hexadecimal, of the canonical JSON of the result."""
    text = json.dumps(
        canonical_result(search), sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain
    )
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_result(search: Search) -> dict[str, Any]:
    """Return what the digest covers, as plain data."""
    winner = search.incumbent
    return {
        "config": _config(search.config),
        "children": [_child(search.children[child_id]) for child_id in sorted(search.children)],
        "selections": [
            {"iteration": selected.iteration, "choices": [(c.role, str(c.child_id)) for c in selected.choices]}
            for selected in search.selections
        ],
        "stop": search.stop,
        "state": search.state,
        "weights_sha256": winner.weights_sha256 if winner else "",
    }


_FIRST_SETTINGS = (
    *("dataset", "block", "preset", "seed", "initial", "input_size", "train_limit", "threads", "selection_metric"),
    *("max_iterations", "time_budget_seconds", "max_attempts", "max_failed_children", "max_parameters"),
)
_FIRST_TRAINING = (
    *("learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "batch_size", "max_epochs", "patience"),
    *("device", "precision"),
)
"""The settings of the first version, which are always in the digest; this list never changes. Any other setting is left
out at its default, so a new setting changes no digest of a search that does not use it."""


def _config(config: SearchConfig) -> dict[str, Any]:
    content = {name: getattr(config, name) for name in _FIRST_SETTINGS} | set_fields(config)
    training = {name: getattr(config.training, name) for name in _FIRST_TRAINING} | set_fields(config.training)
    return content | {"training": training}


def _child(child: Child) -> dict[str, Any]:
    return {
        "child_id": str(child.child_id),
        "parent_id": str(child.parent_id) if child.parent_id else "",
        "transformation": format_transformation(child.transformation) if child.transformation else "",
        "notation": format_notation(child.architecture),
        "outcome": [child.state, child.failure],
        "epochs": [_epoch(result) for result in child.epochs],
    }


def _epoch(result: EpochResult) -> dict[str, Any]:
    return {
        "epoch": result.epoch,
        "training_loss": result.training_loss.hex(),
        "loss": result.validation.loss.hex(),
        "accuracy": float(result.validation.accuracy).hex(),
    }


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no canonical form")
