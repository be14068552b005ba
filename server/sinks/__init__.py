# SPDX-License-Identifier: Apache-2.0
"""Logs and metrics: each sink is told every fact after it is durable, and can change nothing."""
