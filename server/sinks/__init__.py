# SPDX-License-Identifier: Apache-2.0
"""What hears of every fact after it is durable and can change nothing."""
