# SPDX-License-Identifier: Apache-2.0
"""The processes that the server starts: one trains, one prepares data. Only here does anything load torch."""
