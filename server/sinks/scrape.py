# SPDX-License-Identifier: Apache-2.0
"""The address where Prometheus reads the metrics: HTTP with one page, in the server's own event loop.

A request must be small and arrive within seconds, and is answered once; the number of those in progress is limited.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from server.sinks.metrics import CONTENT_TYPE

_REQUEST_BYTES: Final = 8192
_PATIENCE_SECONDS: Final = 5.0
_CONNECTIONS: Final = 16
_ABOUT: Final = b"The metrics of nas-server are at /metrics.\n"
_PLAIN: Final = "text/plain; charset=utf-8"

log = structlog.get_logger("nas.metrics")


class ScrapeEndpoint:
    """Answers GET /metrics on one address."""

    def __init__(self, render: Callable[[], Awaitable[bytes]]) -> None:
        """Take what makes the page; a scrape waits for it some seconds."""
        self._render = render
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def reserve(self, address: str) -> str:
        """Take HOST:PORT and return the address, with the port that was picked for port 0; scrapes wait until ``open``.

        Raises:
            OSError: it is taken, or may not be used.
        """
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        # Listening from here on: two that have only bound a port, as asyncio would, do not notice each other.
        taken = socket.create_server((host.strip("[]"), int(port)), family=family)
        self._server = await asyncio.start_server(self._answer, sock=taken, limit=_REQUEST_BYTES, start_serving=False)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        """Answer from now on."""
        if self._server is not None:
            await self._server.start_serving()

    async def close(self) -> None:
        """Stop listening; requests that have begun are still answered."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if self._connections > _CONNECTIONS:
                    writer.write(_response("503 Service Unavailable", b"busy\n"))
                else:
                    writer.write(await self._respond(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was is slow, gone, or no Prometheus
        finally:
            self._connections -= 1
            writer.close()

    async def _respond(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET\n")
        if path == b"/metrics":
            try:
                response = _response("200 OK", await self._render(), CONTENT_TYPE)
            except Exception:
                log.exception("metrics_failed")
                return _response("500 Internal Server Error", b"the server's log has the details\n")
        else:
            response = _response("200 OK" if path == b"/" else "404 Not Found", _ABOUT)
        return response if method == b"GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _response(status: str, body: bytes, content_type: str = _PLAIN) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
