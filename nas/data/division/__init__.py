# SPDX-License-Identifier: Apache-2.0
"""Train, validation and test: a function of labels, groups and seed, and the proof that nothing leaks."""
