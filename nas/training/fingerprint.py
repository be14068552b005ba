# SPDX-License-Identifier: Apache-2.0
"""One value for everything that the bits of a training depend on; only a checkpoint with an equal one is continued."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from nas.canonical_json import canonical_json, set_fields
from nas.search.conditions import Runtime
from nas.training.request import FitRequest, Images, Labels, TrainingData

_FORMAT = 3
"""Raised when the form of checkpoints, the training itself or the default of a setting changes, so that old checkpoints
are not continued. A new setting whose default trains as before needs no new number."""


def compute_fingerprint(request: FitRequest, runtime: Runtime, data: TrainingData) -> str:
    """Condense request, runtime and every pixel and label into a SHA-256 in hex."""
    identity = {"format": _FORMAT, "request": _describe(request), "runtime": runtime}
    digest = hashlib.sha256(canonical_json(identity))
    for array in (data.train_images, data.train_labels, data.validation_images, data.validation_labels):
        _add_array(digest, array)
    return digest.hexdigest()


def _describe(request: FitRequest) -> dict[str, Any]:
    """Return the settings that differ from their defaults; with moved folders it is still the same training."""
    settings = set_fields(request)
    settings.pop("checkpoint_dir", None)
    if request.inherited is not None:
        settings["inherited"] = (request.inherited.sha256, sorted(request.inherited.origins))
    return settings


def _add_array(digest: hashlib._Hash, array: Images | Labels) -> None:
    digest.update(canonical_json((array.dtype.str, array.shape)))
    digest.update(np.ascontiguousarray(array).data)
