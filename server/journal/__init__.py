# SPDX-License-Identifier: Apache-2.0
"""The durable truth about every search: an append-only sequence of events that nobody can shorten unnoticed."""
