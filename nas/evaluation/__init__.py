# SPDX-License-Identifier: Apache-2.0
"""From pixels to figures: how a net reads images, how its answers are counted, and what they are worth.

``nas.evaluation.assess`` is imported by whoever needs it: it brings scikit-learn, which takes more than a second.
"""

from __future__ import annotations

from nas.evaluation.answers import Answers, ask, compute_logits, evaluate

__all__ = ["Answers", "ask", "compute_logits", "evaluate"]
