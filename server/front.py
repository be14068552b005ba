# SPDX-License-Identifier: Apache-2.0
"""The addresses of a server: the API, health checks, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import structlog
from grpc_reflection.v1alpha import reflection

from server.certificates import Certificates
from server.config import Settings
from server.listening import SERVER_OPTIONS, ListenError, bind, is_loopback
from server.rpc.access import Guard
from server.rpc.activity import Activity
from server.rpc.health import HEALTH, Health
from server.rpc.servicer import SERVICE
from server.sinks.scrape import ScrapeEndpoint
from server.tokens import Tokens

_GRACE_SECONDS = 1.0
_WARNING_SECONDS = 60.0

log = structlog.get_logger("nas.front")


class Front:
    """Opens and closes the addresses in an order that clients and probes can rely on."""

    def __init__(
        self,
        settings: Settings,
        handler: grpc.GenericRpcHandler,
        activity: Activity,
        render: Callable[[], Awaitable[bytes]],
    ) -> None:
        """Take the service that answers calls and the function that renders the metrics.

        Raises:
            CertificateError, TokenFileError: a file cannot be used.
            OSError: one cannot be read.
        """
        self._settings = settings
        files = settings.certificate_files
        self._credentials = Certificates(files).credentials() if files is not None else None
        guard = Guard(Tokens(settings.token_file) if settings.token_file is not None else None, activity)
        self._warning: asyncio.Task[None] | None = None
        self._health = Health()
        self._endpoint = ScrapeEndpoint(render)
        self._server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(guard,))
        self._server.add_generic_rpc_handlers((handler,))
        self._health.add_to(self._server)
        if is_loopback(settings.listen):
            reflection.enable_server_reflection((SERVICE.full_name, HEALTH, reflection.SERVICE_NAME), self._server)
        self.places: dict[str, str] = {}
        """The address of each, once it is open."""

    async def reserve(self) -> None:
        """Take the addresses before the work begins; health checks are told that nothing is served yet.

        Raises:
            ListenError: one is taken, or may not be used.
        """
        self.places["address"] = bind(self._server, self._settings.listen, credentials=self._credentials)
        if self._settings.health_listen is not None:
            self.places["health"] = await self._health.listen(self._settings.health_listen)
        await self._offer_metrics()

    async def open(self) -> None:
        """Answer calls, and tell health checks so."""
        await self._server.start()
        await self._endpoint.open()
        await self._health.begin()
        if self._settings.is_open:
            self._warning = asyncio.create_task(self._warn(), name="warning")

    async def refuse(self) -> None:
        """Tell health checks that the server does not serve any more."""
        await self._health.end()

    async def close(self) -> None:
        """Answer no more calls; those in progress have a moment to end."""
        await self._server.stop(_GRACE_SECONDS)

    async def leave(self) -> None:
        """Close the other addresses as well."""
        if self._warning is not None:
            self._warning.cancel()
        await self._endpoint.close()
        await self._health.close()

    async def _warn(self) -> None:
        """Log a warning at intervals that others can use the server without a credential."""
        while True:
            log.warning("insecure", address=self.places["address"], hint="others can use this server or read along")
            await asyncio.sleep(_WARNING_SECONDS)

    async def _offer_metrics(self) -> None:
        settings = self._settings
        if settings.metrics_address is None:
            return
        try:
            self.places["metrics"] = await self._endpoint.reserve(settings.metrics_address)
        except OSError as error:
            reason = error.strerror or "it cannot be used"
            if settings.metrics_listen is not None:
                raise ListenError(settings.metrics_address, reason, "--metrics-listen") from error
            hint = "no metrics of this server; name a free address with --metrics-listen"
            log.warning("metrics_off", address=settings.metrics_address, reason=reason, hint=hint)
