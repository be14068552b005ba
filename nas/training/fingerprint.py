# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint must agree on to be continued: everything that the bits of a training depend on."""

from __future__ import annotations

import hashlib

import numpy as np

from nas.search.facts import Runtime
from nas.training.request import FitRequest, Images, Labels, TrainingData

_FORMAT = 2
"""Raised when checkpoints or the training itself change, so that old checkpoints are left alone."""


def compute_fingerprint(request: FitRequest, runtime: Runtime, data: TrainingData) -> str:
    """Condense request, runtime and every pixel and label into a SHA-256 in hex."""
    identity = (
        _FORMAT,
        request.architecture,
        request.input_shape,
        request.training,
        request.search_seed,
        request.child_id,
        runtime,
    )
    digest = hashlib.sha256(repr(identity).encode())
    for array in (data.train_images, data.train_labels, data.validation_images, data.validation_labels):
        _add_array(digest, array)
    return digest.hexdigest()


def _add_array(digest: hashlib._Hash, array: Images | Labels) -> None:
    digest.update(repr((array.dtype.str, array.shape)).encode())
    digest.update(np.ascontiguousarray(array).data)
