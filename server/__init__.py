# SPDX-License-Identifier: Apache-2.0
"""The gRPC server that owns searches: journal, engine, executors and workers."""
