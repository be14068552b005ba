# SPDX-License-Identifier: Apache-2.0
"""What the test part says about nets, on the wire."""

from __future__ import annotations

from nas.api.v1 import search_pb2 as pb
from nas.assessment import Assessed, Assessment, Baseline, ClassAssessment, Estimate, Neighbours
from nas.child import Evaluation
from server.codec.enums import CodecError
from server.codec.mirror import Codec, Codecs, mirror
from server.codec.records import EVALUATION

_ESTIMATE = mirror(Estimate, pb.Estimate)
_CODECS: Codecs = {
    Estimate: _ESTIMATE,
    Baseline: mirror(Baseline, pb.Baseline, only_net="only_net_count", only_baseline="only_baseline_count"),
    ClassAssessment: mirror(ClassAssessment, pb.ClassAssessment, {Estimate: _ESTIMATE}, images="image_count"),
    Neighbours: mirror(Neighbours, pb.Neighbours, {Estimate: _ESTIMATE}, train_images="train_count"),
    tuple[int, ...]: Codec(lambda row: pb.ConfusionRow(counts=row), lambda message: tuple(message.counts)),
}
_ASSESSMENT = mirror(Assessment, pb.Assessment, _CODECS, patients="patient_count")


def decode_assessment(message: pb.Assessment) -> Assessment:
    """Everything about one net.

    Raises:
        CodecError: a share is none, or the confusion matrix has another size than the classes.
    """
    try:
        return _ASSESSMENT.decode(message)
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError("assessment", f"has wrong figures: {error}") from error


ASSESSMENT = Codec(_ASSESSMENT.encode, decode_assessment)
ASSESSED = mirror(Assessed, pb.AssessedChild, {Evaluation: EVALUATION, Assessment: ASSESSMENT})
