# SPDX-License-Identifier: Apache-2.0
"""``version``: what this client is, and what answers at the server's address."""

from __future__ import annotations

import click

from client.output import note, write, write_document
from client.settings import Output, Settings, output_option
from client.versions import client_version

API = "nas.api.v1"
_ANSWER_SECONDS = 5.0

_EPILOG = """\b
Examples:
  nas-client version
  nas-client version --output json
"""


@click.command("version", epilog=_EPILOG)
@output_option
@click.pass_obj
def command(settings: Settings) -> None:
    """Print the versions of the client and the server; a server that is not there is no error."""
    server, address = _server_info(settings)
    if settings.output is not Output.TEXT:
        document = {"client": client_version(), "api": API, "server": server}
        write_document(document, is_compact=settings.output is Output.JSONL)
        return
    write(f"client {client_version()}, API {API}")
    if server is not None:
        write(f"server {server['version']}, API {server['api']}, executor {server['executor']}, at {address}")


def _server_info(settings: Settings) -> tuple[dict[str, object] | None, str]:
    from google.protobuf.json_format import MessageToDict

    from client.connection import connect
    from client.errors import ServerError
    from nas.api.v1 import search_service_pb2

    with connect(settings) as connection:
        request = search_service_pb2.GetServerInfoRequest()
        try:
            info = connection.call(connection.stub.GetServerInfo, request, timeout=_ANSWER_SECONDS)
        except ServerError as error:
            note(str(error))
            return None, connection.address
    fields: dict[str, object] = MessageToDict(
        info, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields, connection.address
