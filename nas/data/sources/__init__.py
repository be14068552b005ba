# SPDX-License-Identifier: Apache-2.0
"""Data sets with a publisher, and what every data set hands over to be cached."""
