# SPDX-License-Identifier: Apache-2.0
"""How a net reads images, how its answers are counted, and how far the resulting figures can be trusted.

``nas.evaluation.assess`` is not imported here, because it imports scikit-learn, which takes more than a second.
"""

from __future__ import annotations

from nas.evaluation.answers import Answers, ask, compute_logits, evaluate

__all__ = ["Answers", "ask", "compute_logits", "evaluate"]
