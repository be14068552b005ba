# SPDX-License-Identifier: Apache-2.0
"""One image file as bytes becomes one small uint8 array, or one reason why it cannot."""
