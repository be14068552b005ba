# SPDX-License-Identifier: Apache-2.0
"""What each setting of a search means, in one sentence: the help of every command that takes them."""

from __future__ import annotations

from collections.abc import Mapping

from nas.augmentations import AUGMENTATIONS
from nas.folders import CLASS_MAPS

SETTINGS: Mapping[str, str] = {
    "dataset": "Data set of the server: mnist, kau, folder:PATH and others.",
    "block": "Inception, or SE-Inception.",
    "preset": "Rules and defaults.",
    "seed": "Seed of everything random.",
    "initial": "The initial model.",
    "input_size": "Side of the square input in pixels.",
    "train_limit": "Images from which training and validation are split.",
    "max_iterations": "Most iterations; 0 trains the initial model alone.",
    "time_budget": "Most running time, which pauses and queues do not use up: 90s, 30m, 12h, none.",
    "max_attempts": "Attempts at a child's training before it has failed.",
    "max_failed_children": "Failed children at which the search gives up.",
    "max_parameters": "Most parameters of a child.",
    "selection_metric": (
        "What the best child is best at; auto, also without a preset, is balanced accuracy on an imbalanced set."
    ),
    "threads": "CPU threads of a worker.",
    "learning_rate": "Adam's step size.",
    "beta1": "Decay of Adam's mean of gradients.",
    "beta2": "Decay of Adam's mean of squared gradients.",
    "epsilon": "What Adam adds to its divisor.",
    "weight_decay": "Decoupled weight decay.",
    "batch_size": "Images a step.",
    "max_epochs": "Most epochs of a child's training.",
    "patience": "Epochs without a lower validation loss that end a training.",
    "device": "Where children train.",
    "precision": "Number format of the forward pass.",
    "imbalance": "Against classes of different size: weights in the loss, equally many images of each, focal loss.",
    "augment": f"Vary the training images: all, or some of {','.join(AUGMENTATIONS)}.",
    "class_map": f"{', '.join(CLASS_MAPS)}, or your own: 1=benign,4=malignant.",
    "max_bad_files": "Unreadable images to leave out before giving up.",
    "fit": "Pad images to a square, or cut out the breast first.",
    "group_regex": "Finds in a path the patient, who must be in one part only.",
    "folds": "Deal the images into K test parts, for cross-validation.",
    "fold": "Which of the K is the test part, from 1.",
    "sample_bits": "Bits that a value of a 16-bit grey image takes, if not 16.",
}
