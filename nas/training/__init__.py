# SPDX-License-Identifier: Apache-2.0
"""Train children: epochs as a generator, early stopping, checkpoints that continue bit for bit, weights as files."""

from __future__ import annotations

from nas.durable import move_durably
from nas.training.device import resolve_runtime
from nas.training.errors import DataMismatchError, DeviceUnavailableError, InheritanceError, TrainingError, WeightsError
from nas.training.loop import find_resumed_epoch, fit
from nas.training.request import Diverged, FitOutcome, FitRequest, Inherited, Interrupted, Trained, TrainingData
from nas.training.weights import BEST_WEIGHTS, ask_weights

__all__ = [
    "BEST_WEIGHTS",
    "DataMismatchError",
    "DeviceUnavailableError",
    "Diverged",
    "FitOutcome",
    "FitRequest",
    "InheritanceError",
    "Inherited",
    "Interrupted",
    "Trained",
    "TrainingData",
    "TrainingError",
    "WeightsError",
    "ask_weights",
    "find_resumed_epoch",
    "fit",
    "move_durably",
    "resolve_runtime",
]
