# SPDX-License-Identifier: Apache-2.0
"""The standard health service: on the API's address and, if configured, on a second address.

The second address is plaintext and has no other service, for probes that have neither TLS nor a token.
"""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.listening import SERVER_OPTIONS, bind
from server.rpc.servicer import SERVICE

LIVENESS = "liveness"
"""Health service that says only that the process answers."""

HEALTH: str = health.SERVICE_NAME

_Status = health_pb2.HealthCheckResponse


class Health:
    """Answers all health checks of one server."""

    def __init__(self) -> None:
        self._checks = health.aio.HealthServicer()
        self._listener: grpc.aio.Server | None = None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer checks on a server, too."""
        health_pb2_grpc.add_HealthServicer_to_server(self._checks, server)

    async def listen(self, address: str) -> str:
        """Answer checks on the second address from now on, and return it with the port that was picked for port 0.

        Raises:
            ListenError: it is taken, or may not be used.
        """
        self._listener = grpc.aio.server(options=SERVER_OPTIONS)
        self.add_to(self._listener)
        bound = bind(self._listener, address, "--health-listen")
        await self._set(_Status.NOT_SERVING)
        await self._checks.set(LIVENESS, _Status.SERVING)
        await self._listener.start()
        return bound

    async def begin(self) -> None:
        """Answer from now on that everything is served."""
        await self._checks.set(LIVENESS, _Status.SERVING)
        await self._set(_Status.SERVING)

    async def end(self) -> None:
        """Answer from now on that nothing is served, and that the process lives."""
        await self._set(_Status.NOT_SERVING)

    async def close(self) -> None:
        """Stop answering on the second address."""
        if self._listener is not None:
            await self._listener.stop(None)

    async def _set(self, status: int) -> None:
        for service in ("", SERVICE.full_name):
            await self._checks.set(service, status)
