# SPDX-License-Identifier: Apache-2.0
"""Random initial weights and random orders of images, both derived from the seed of the search and the child."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from nas.child import ChildId
from nas.models import Network, build
from nas.permutations import seeded_permutation
from nas.seeds import derive_seed
from nas.training.request import FitRequest


def build_seeded(request: FitRequest) -> Network:
    """Build the net on the CPU with PyTorch's default initialisation, the same on every device.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(request.search_seed, "init", str(request.child_id)))
        return build(request.architecture, request.input_shape)


def draw_order(
    search_seed: int, child_id: ChildId, epoch: int, images: int, *, purpose: str = "shuffle"
) -> npt.NDArray[np.int64]:
    """Draw the order in which an epoch sees the training images: a permutation of ``range(images)``.

    Another ``purpose`` gives another permutation.
    """
    return seeded_permutation(derive_seed(search_seed, purpose, str(child_id), epoch), images)
