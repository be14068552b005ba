# SPDX-License-Identifier: Apache-2.0
"""Settings as a document: what the API prints is read back as it was, and so is what a person types."""

from __future__ import annotations

from fact_strategies import configs
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings

from nas.config import SearchConfig, search_settings
from server.codec.documents import read_config
from server.codec.settings import encode_config


@settings(max_examples=200)
@given(config=configs)
def test_printed_settings_come_back_as_they_were(config: SearchConfig) -> None:
    """In the form of the schema's JSON, with the training's settings in their own table."""
    document = MessageToDict(
        encode_config(config), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )

    assert config == read_config(document)


@settings(max_examples=200)
@given(config=configs)
def test_typed_settings_mean_the_same(config: SearchConfig) -> None:
    """All as text, as on a command line, the training's beside the others."""
    document = MessageToDict(encode_config(config), preserving_proto_field_name=True)
    flat = {**document, **document.pop("training")}
    flat.pop("training", None)
    typed = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in flat.items()}

    assert config == read_config(typed)


def test_no_two_settings_share_a_name() -> None:
    """Else one could not stand beside the other."""
    names = [setting.name for setting in search_settings()]

    assert len(names) == len(set(names))
