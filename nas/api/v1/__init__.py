# SPDX-License-Identifier: Apache-2.0
"""Code generated from proto/nas/api/v1."""
