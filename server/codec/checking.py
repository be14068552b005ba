# SPDX-License-Identifier: Apache-2.0
"""What is said to the process that checks data, and its answer, which is the API's own message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from nas.api.v1 import search_service_pb2 as pb
from nas.blocks import BlockType
from nas.config import SearchConfig
from nas.folders import PatientSource
from nas.settings import settings_of
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.preparing import DataRequest

PROGRAM = ("-m", "server.worker.check")
"""Arguments of Python that start it."""
MOST_NAMES = 100
"""Of each finding, unless the client says otherwise."""
ALL_NAMES = 10_000
"""No client gets more: an answer is at most 4 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """Which folder is to be checked as what.

    Attributes:
        data: of the search that could follow.
        most_names: files and patients that each finding names.
    """

    data: DataRequest
    most_names: int


def decode_check(message: pb.CheckDatasetRequest) -> tuple[SearchConfig, int]:
    """Read a request for a check: the settings of the search that could follow, and most names a finding.

    Raises:
        CodecError, ConfigError: no search would take them.
    """
    if not message.path:
        raise CodecError("path", "is missing")
    if message.max_names < 0:
        raise CodecError("max_names", f"must be at least 0, not {message.max_names}")
    names = {setting.name for setting in settings_of(SearchConfig)} & {*message.DESCRIPTOR.fields_by_name.keys()}
    given: dict[str, Any] = {name: getattr(message, name) for name in names}
    config = SearchConfig(
        dataset=f"{message.kind}:{message.path}",
        block=BlockType.INCEPTION,
        **given,
    )
    return config, min(message.max_names or MOST_NAMES, ALL_NAMES)


def encode_inspection(inspection: Any) -> dict[str, Any]:
    """Write a ``nas.data.Inspection`` as plain JSON values; words stand for enums."""
    content = asdict(inspection)
    for finding in content["findings"]:
        kind = finding["kind"]
        finding["kind"], finding["level"] = kind.word, kind.level.value
    content["patients_from"] = inspection.patients_from.name
    assert not any(isinstance(value, Enum) for value in content.values())  # noqa: S101 - these are all
    return content | {"is_ok": inspection.is_ok}


def decode_inspection(content: dict[str, Any]) -> pb.CheckDatasetResponse:
    """Turn what ``encode_inspection`` wrote into the answer of the API."""
    return pb.CheckDatasetResponse(
        dataset=_printable(content["dataset"]),
        location=content["location"],
        file_count=content["files"],
        image_count=content["images"],
        patient_count=content["patients"],
        shape=content["shape"],
        classes=[
            pb.CheckedClass(
                name=_printable(one["name"]),
                image_count=one["images"],
                patient_count=one["patients"],
                train_count=one["train"],
                validation_count=one["validation"],
                test_count=one["test"],
            )
            for one in content["classes"]
        ],
        sizes=[
            pb.CheckedSize(
                class_name=_printable(one["class_name"]),
                format=one["format"],
                width=one["width"],
                height=one["height"],
                image_count=one["images"],
            )
            for one in content["sizes"]
        ],
        findings=[_finding(finding) for finding in content["findings"]],
        is_ok=content["is_ok"],
        patient_source=enums.encode(PatientSource[content["patients_from"]]),
    )


def _finding(finding: dict[str, Any]) -> pb.Finding:
    return pb.Finding(
        level=pb.Finding.Level.Value(f"LEVEL_{finding['level'].upper()}"),
        kind=pb.Finding.Kind.Value(f"KIND_{finding['kind'].upper()}"),
        sentence=_printable(finding["sentence"]),
        count=finding["count"],
        names=[_printable(name) for name in finding["names"]],
    )


def _printable(name: str) -> str:
    """Write what no protocol buffer can hold, such as bytes that are no UTF-8 in the name of a file, as an escape."""
    return name.encode("utf-8", errors="backslashreplace").decode()
