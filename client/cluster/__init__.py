# SPDX-License-Identifier: Apache-2.0
"""Searches as Jobs of a Kubernetes cluster; needs the extra ``k8s``."""
