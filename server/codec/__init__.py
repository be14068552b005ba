# SPDX-License-Identifier: Apache-2.0
"""Domain to wire and back: the only converter, used by journal, workers and API alike."""
