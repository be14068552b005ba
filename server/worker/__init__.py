# SPDX-License-Identifier: Apache-2.0
"""The processes that the server starts: for trainings and test evaluations, and for data. Only they load torch.

Each is made to die with its server before it loads anything else, which can take seconds.
"""

from __future__ import annotations

import os

from server.worker.lifeline import PARENT_VARIABLE, die_with_parent

if PARENT_VARIABLE in os.environ:
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
