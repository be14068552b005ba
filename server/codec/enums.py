# SPDX-License-Identifier: Apache-2.0
"""Enums of the domain and of the wire have the same member names; the wire adds the prefix that buf asks for."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from nas.api.v1 import search_pb2 as pb
from nas.architecture import BlockType
from nas.config import Device, Imbalance, Precision, Preset, SelectionMetric
from nas.folders import PatientSource
from nas.search.facts import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.search.state import ChildState, SearchState
from nas.selection import Role, Rule, TieBreak
from nas.transformations import Operation, SkipReason

EnumT = TypeVar("EnumT", bound=Enum)


class CodecError(ValueError):
    """A message that means nothing in the domain; ``field`` names the place."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class EnumCodec(Generic[EnumT]):
    """Converts one enum in both directions."""

    def __init__(self, domain: type[EnumT], wire: Any, prefix: str, *, field: str = "") -> None:
        """Pair the members; ``field`` is what messages call such a value, by default the prefix in lower case."""
        self._field = field or prefix.lower()
        self._to_wire: dict[EnumT, Any] = {member: wire.Value(f"{prefix}_{member.name}") for member in domain}
        self._to_domain = {number: member for member, number in self._to_wire.items()}

    def encode(self, member: EnumT) -> Any:
        """Return the number on the wire."""
        return self._to_wire[member]

    def words(self) -> dict[str, int]:
        """The numbers by what people write: the member's value, with hyphens."""
        return {str(member.value).replace("_", "-"): number for member, number in self._to_wire.items()}

    def decode(self, number: int) -> EnumT:
        """Return the domain's member.

        Raises:
            CodecError: the number is 0 or from a newer version.
        """
        try:
            return self._to_domain[number]
        except KeyError:
            raise CodecError(self._field, "is missing" if number == 0 else f"has the unknown value {number}") from None

    def decode_or(self, number: int, default: EnumT) -> EnumT:
        """Like ``decode``, with ``default`` for 0."""
        return default if number == 0 else self.decode(number)


BLOCK = EnumCodec(BlockType, pb.BlockType, "BLOCK_TYPE", field="block")
PRESET = EnumCodec(Preset, pb.Preset, "PRESET")
DEVICE = EnumCodec(Device, pb.Device, "DEVICE")
PRECISION = EnumCodec(Precision, pb.Precision, "PRECISION")
METRIC = EnumCodec(SelectionMetric, pb.SelectionMetric, "SELECTION_METRIC")
IMBALANCE = EnumCodec(Imbalance, pb.Imbalance, "IMBALANCE")
PATIENT_SOURCE = EnumCodec(PatientSource, pb.PatientSource, "PATIENT_SOURCE")
OPERATION = EnumCodec(Operation, pb.Operation, "OPERATION")
SKIP_REASON = EnumCodec(SkipReason, pb.SkipReason, "SKIP_REASON")
ATTEMPT_KIND = EnumCodec(AttemptKind, pb.AttemptKind, "ATTEMPT_KIND")
LOST_REASON = EnumCodec(LostReason, pb.LostReason, "LOST_REASON")
FAILURE_REASON = EnumCodec(FailureReason, pb.FailureReason, "FAILURE_REASON")
STOP_REASON = EnumCodec(StopReason, pb.StopReason, "STOP_REASON")
SEARCH_FAILURE = EnumCodec(SearchFailure, pb.SearchFailure, "SEARCH_FAILURE")
ROLE = EnumCodec(Role, pb.Role, "ROLE")
RULE = EnumCodec(Rule, pb.Rule, "RULE")
TIE_BREAK = EnumCodec(TieBreak, pb.TieBreak, "TIE_BREAK")
SEARCH_STATE = EnumCodec(SearchState, pb.Search.State, "STATE")
CHILD_STATE = EnumCodec(ChildState, pb.Child.State, "STATE")
