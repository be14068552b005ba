# SPDX-License-Identifier: Apache-2.0
"""The schema of other versions, as message classes that share nothing with the generated ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

RELEASED = Path(__file__).resolve().parent.parent / "proto/image.binpb"
PACKAGE = "nas.api.v1"
UNKNOWN = 999
"""Number of every field and value that this version does not know."""


class Schema:
    """One version of the API."""

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        pool = descriptor_pool.DescriptorPool()
        for file in files:
            pool.Add(file)
        self._pool = pool

    @property
    def service(self) -> ServiceDescriptor:
        """SearchService."""
        return self._pool.FindServiceByName(f"{PACKAGE}.SearchService")

    def message(self, name: str) -> Any:
        """The class of a message by its name."""
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def released(*, without: tuple[str, str] = ("", "")) -> Schema:
    """The schema of the last release, as it was committed; without the field (message, name), if one is named."""
    image = descriptor_pb2.FileDescriptorSet.FromString(RELEASED.read_bytes())
    for message in (message for file in image.file for message in file.message_type if message.name == without[0]):
        (field,) = [field for field in message.field if field.name == without[1]]
        field.name, field.number = f"not_{field.name}", UNKNOWN  # taking it out would leave its presence bit behind
    return Schema(image.file)


def newer() -> Schema:
    """Today's schema and more: a fact, a kind of answer, a field in each message and a value in each enum."""
    files = []
    for module in (duration_pb2, timestamp_pb2, search_pb2, event_pb2, search_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        if file.package == PACKAGE:
            _extend(file)
        files.append(file)
    return Schema(files)


def _extend(file: descriptor_pb2.FileDescriptorProto) -> None:
    for enum in _enums(file):
        enum.value.add(name=f"{enum.name.upper()}_{enum.value[0].name}_OF_TOMORROW", number=UNKNOWN)
    for message in file.message_type:
        kind, oneof = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, None
        if message.name in ("Event", "WatchSearchResponse", "ExportModelResponse"):
            oneof = 0
        field = message.field.add(name="of_tomorrow", number=UNKNOWN, type=kind, label=1, json_name="ofTomorrow")
        if oneof is not None:
            field.oneof_index = oneof


def _enums(file: descriptor_pb2.FileDescriptorProto) -> Iterator[descriptor_pb2.EnumDescriptorProto]:
    yield from file.enum_type
    for message in file.message_type:
        yield from message.enum_type


def fill(message: Message, number: int = UNKNOWN) -> None:
    """Set every enum in a message, at every depth, to a number."""
    descriptor: Any = message.DESCRIPTOR
    for field in descriptor.fields:
        if field.enum_type is not None and not field.is_repeated:
            setattr(message, field.name, number)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                fill(part, number)
