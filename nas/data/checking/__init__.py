# SPDX-License-Identifier: Apache-2.0
"""The check of a data set before a search: all that a search would refuse or warn of, by name."""
