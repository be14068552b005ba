# SPDX-License-Identifier: Apache-2.0
"""What lies in a folder, and which of its files is an image of which class, part and patient."""
