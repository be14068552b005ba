# SPDX-License-Identifier: Apache-2.0
"""The server's certificate, its key and the authority of its clients: read from files, read again when they change.

A file that was replaced counts from the next connection on; connections that are open keep what they began with.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog

log = structlog.get_logger("nas.tls")

_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """The files cannot be used together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """PEM files.

    Attributes:
        cert: the server's certificate, then those between it and its authority.
        key: its private key, without a passphrase.
        client_ca: certificates of authorities, one of which must have signed a client's. None: clients need none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


class Certificates:
    """The certificates that gRPC uses for each new connection."""

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files for the first time.

        Raises:
            CertificateError: they cannot be used.
            OSError: one cannot be read.
        """
        self._files = files
        self._stamp = self._look()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port of a gRPC server needs."""
        refresh: Any = self._refresh  # may return None, which the stubs do not know
        return grpc.dynamic_ssl_server_credentials(
            self._first, refresh, require_client_authentication=self._files.client_ca is not None
        )

    def _refresh(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold now if it is new; called by gRPC's threads before each handshake."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            configuration = self._read()
        except (OSError, CertificateError) as error:  # in the middle of a replacement, or a mistake: keep what works
            log.warning("certificates_not_reloaded", reason=str(error))
            return None
        self._stamp = stamp
        log.info("certificates_reloaded")
        return configuration

    def _look(self) -> _Stamp:
        paths = [path for path in (self._files.cert, self._files.key, self._files.client_ca) if path is not None]
        found = [path.stat() for path in paths]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        key, cert = files.key.read_bytes(), files.cert.read_bytes()
        authority = files.client_ca.read_bytes() if files.client_ca is not None else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(files.cert, files.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(
                f"--tls-cert {files.cert} and --tls-key {files.key} are no certificate in PEM form with its own key, "
                "which must not have a passphrase"
            ) from error
        if files.client_ca is not None:
            try:
                context.load_verify_locations(files.client_ca)
            except (ssl.SSLError, ValueError) as error:
                raise CertificateError(f"--tls-client-ca {files.client_ca} holds no certificate in PEM form") from error
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=authority)
