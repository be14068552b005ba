# SPDX-License-Identifier: Apache-2.0
"""What the test part says about nets, on the wire."""

from __future__ import annotations

from typing import Any

from nas.api.v1 import event_pb2
from nas.api.v1 import search_pb2 as pb
from nas.assessment import Assessed, Assessment, Baseline, ClassAssessment, Estimate
from nas.search import events
from server.codec.enums import CodecError
from server.codec.records import decode_child_id, decode_evaluation, encode_evaluation


def encode_assessment(assessment: Assessment) -> pb.Assessment:
    """Everything about one net."""
    baseline = assessment.baseline
    return pb.Assessment(
        accuracy=_encode_estimate(assessment.accuracy),
        balanced_accuracy=_encode_estimate(assessment.balanced_accuracy),
        macro_f1=_encode_estimate(assessment.macro_f1),
        auc=_encode_estimate(assessment.auc),
        log_loss=assessment.log_loss,
        calibration_error=assessment.calibration_error,
        baseline=pb.Baseline(
            label=baseline.label,
            accuracy=baseline.accuracy,
            balanced_accuracy=baseline.balanced_accuracy,
            macro_f1=baseline.macro_f1,
            only_net_count=baseline.only_net,
            only_baseline_count=baseline.only_baseline,
            p_value=baseline.p_value,
        ),
        classes=[
            pb.ClassAssessment(
                image_count=found.images,
                sensitivity=_encode_estimate(found.sensitivity),
                specificity=_encode_estimate(found.specificity),
                precision=_encode_estimate(found.precision),
                auc=_encode_estimate(found.auc),
            )
            for found in assessment.classes
        ],
        confusion=[pb.ConfusionRow(counts=row) for row in assessment.confusion],
        patient_count=assessment.patients,
    )


def decode_assessment(message: pb.Assessment) -> Assessment:
    """Everything about one net.

    Raises:
        CodecError: a share is none, or the confusion matrix has another size than the classes.
    """
    try:
        return Assessment(
            accuracy=_decode_estimate(message.accuracy),
            balanced_accuracy=_decode_estimate(message.balanced_accuracy),
            macro_f1=_decode_estimate(message.macro_f1),
            auc=_decode_optional(message, "auc"),
            log_loss=message.log_loss,
            calibration_error=message.calibration_error,
            baseline=_decode_baseline(message.baseline),
            classes=tuple(_decode_class(found) for found in message.classes),
            confusion=tuple(tuple(row.counts) for row in message.confusion),
            patients=message.patient_count,
        )
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError("assessment", f"has wrong figures: {error}") from error


def _decode_baseline(message: pb.Baseline) -> Baseline:
    return Baseline(
        label=message.label,
        accuracy=message.accuracy,
        balanced_accuracy=message.balanced_accuracy,
        macro_f1=message.macro_f1,
        only_net=message.only_net_count,
        only_baseline=message.only_baseline_count,
        p_value=message.p_value,
    )


def _decode_class(message: pb.ClassAssessment) -> ClassAssessment:
    return ClassAssessment(
        images=message.image_count,
        sensitivity=_decode_optional(message, "sensitivity"),
        specificity=_decode_optional(message, "specificity"),
        precision=_decode_optional(message, "precision"),
        auc=_decode_optional(message, "auc"),
    )


def encode_assessed(assessed: Assessed) -> pb.AssessedChild:
    """A child and how it did."""
    return pb.AssessedChild(
        child_id=str(assessed.child_id),
        evaluation=encode_evaluation(assessed.evaluation),
        assessment=None if assessed.assessment is None else encode_assessment(assessed.assessment),
    )


def decode_assessed(message: pb.AssessedChild) -> Assessed:
    """A child and how it did.

    Raises:
        CodecError: the id is none, or the figures are wrong.
    """
    return Assessed(
        child_id=decode_child_id(message.child_id, "child_id"),
        evaluation=decode_evaluation(message.evaluation),
        assessment=decode_assessment(message.assessment) if message.HasField("assessment") else None,
    )


def encode_winner_evaluated(fact: events.WinnerEvaluated) -> event_pb2.WinnerEvaluated:
    """All that was read from the test part."""
    return event_pb2.WinnerEvaluated(
        child_id=str(fact.child_id),
        attempt=fact.attempt,
        evaluation=encode_evaluation(fact.evaluation),
        assessment=None if fact.assessment is None else encode_assessment(fact.assessment),
        others=[encode_assessed(assessed) for assessed in fact.others],
    )


def decode_winner_evaluated(message: event_pb2.WinnerEvaluated) -> events.WinnerEvaluated:
    """All that was read from the test part.

    Raises:
        CodecError: an id is none, or the figures are wrong.
    """
    return events.WinnerEvaluated(
        child_id=decode_child_id(message.child_id, "child_id"),
        attempt=message.attempt,
        evaluation=decode_evaluation(message.evaluation),
        assessment=decode_assessment(message.assessment) if message.HasField("assessment") else None,
        others=tuple(decode_assessed(assessed) for assessed in message.others),
    )


def _encode_estimate(estimate: Estimate | None) -> pb.Estimate | None:
    return None if estimate is None else pb.Estimate(value=estimate.value, low=estimate.low, high=estimate.high)


def _decode_estimate(message: pb.Estimate) -> Estimate:
    return Estimate(
        value=message.value,
        low=message.low if message.HasField("low") else None,
        high=message.high if message.HasField("high") else None,
    )


def _decode_optional(message: Any, name: str) -> Estimate | None:
    return _decode_estimate(getattr(message, name)) if message.HasField(name) else None
