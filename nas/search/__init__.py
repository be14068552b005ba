# SPDX-License-Identifier: Apache-2.0
"""The search as a pure state machine: ``decide``, ``evolve``, ``pending_work`` over frozen records."""
