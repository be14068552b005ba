# SPDX-License-Identifier: Apache-2.0
"""Neural architecture search with Inception and SE-Inception blocks: the pure core, the models and their training."""
