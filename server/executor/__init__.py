# SPDX-License-Identifier: Apache-2.0
"""Where attempts run and data is prepared: processes, attempts, cancellation; no decision about retries."""
