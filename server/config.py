# SPDX-License-Identifier: Apache-2.0
"""Settings of the server: options before environment (``NAS_...``) before defaults, parsed once."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.certificates import CertificateFiles
from server.listening import check_address, is_loopback, socket_path

DEFAULT_LISTEN = "127.0.0.1:50051"
DEFAULT_METRICS_LISTEN = "127.0.0.1:9464"
DEFAULT_STATE_DIR = Path("~/.local/state/nas")
OFF = "off"
"""Stands for an address: there is to be no listener."""


class Settings(BaseSettings):
    """The settings of one server, which do not change while it runs."""

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True, extra="ignore")

    state_dir: Path = DEFAULT_STATE_DIR
    listen: str = DEFAULT_LISTEN
    port_file: Path | None = None
    data_root: Path | None = None
    download: bool = False
    any_path: bool = False
    """Whether folders of images may lie anywhere; for a server that only its owner can talk to."""
    max_image_pixels: int = Field(default=16 * 2**20, ge=1, lt=2**31)
    """Only checked here: NAS_MAX_IMAGE_PIXELS reaches the process that prepares data through the environment."""
    workers: int = Field(default=1, ge=1, le=64)
    executor: Literal["local", "fake", "ray"] = "local"
    ray_address: str = "auto"
    ray_cpus: int = Field(default=1, ge=1, le=1024)
    ray_gpus: bool = False
    trainer: Literal["torch", "simulated"] = "torch"
    fake_epoch_seconds: float = Field(default=0.05, ge=0.0, le=3600.0)
    progress_timeout: float = Field(default=300.0, gt=0.0)
    idle_timeout: float = Field(default=0.0, ge=0.0)
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    token_file: Path | None = None
    max_streams: int = Field(default=1000, ge=1)
    """Watches, exports and logs that one caller may have open at the same time."""
    max_starts: int = Field(default=600, ge=1)
    """Calls of StartSearch that one caller may make per minute."""
    log_format: Literal["auto", "json", "console"] = "auto"
    health_listen: str | None = None
    """Only the health service, in plaintext; None for no listener beside the API's."""
    metrics_listen: str | None = None
    """``OFF``, or where Prometheus reads; None for the default, which is off where the API has a socket."""

    @field_validator("state_dir", "data_root", "port_file", "tls_cert", "tls_key", "tls_client_ca", "token_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("executor")
    @classmethod
    def _require_ray(cls, executor: str) -> str:
        if executor == "ray" and importlib.util.find_spec("ray") is None:
            raise ValueError("ray is not installed; pip install 'seib-nas[server,ray]'")
        return executor

    @field_validator("ray_address")
    @classmethod
    def _require_cluster(cls, address: str) -> str:
        if address != "auto" and not re.fullmatch(r"[^\s/:]+:[0-9]{1,5}", address):
            raise ValueError(
                f"{address!r} is no address of a Ray cluster; give HOST:PORT, as ray start prints it, or auto"
            )
        return address

    @field_validator("listen", "health_listen")
    @classmethod
    def _require_address(cls, listen: str | None) -> str | None:
        return listen and check_address(listen)

    @field_validator("metrics_listen")
    @classmethod
    def _require_host(cls, listen: str | None) -> str | None:
        if listen is None or listen == OFF:
            return listen
        if socket_path(listen) is not None:
            raise ValueError("must be HOST:PORT or off; Prometheus reads from no socket")
        return check_address(listen)

    @property
    def metrics_address(self) -> str | None:
        """Where Prometheus is to read; None for nowhere."""
        if self.metrics_listen is None:
            return None if socket_path(self.listen) else DEFAULT_METRICS_LISTEN
        return None if self.metrics_listen == OFF else self.metrics_listen

    @model_validator(mode="after")
    def _require_owner(self) -> Settings:
        if self.any_path and socket_path(self.listen) is None:
            raise ValueError(
                f"--any-path lets a caller read whatever the server's user may, and {self.listen} is open to all users "
                "of this machine; listen on unix:PATH, or name a --data-root"
            )
        return self

    @property
    def certificate_files(self) -> CertificateFiles | None:
        """The files for the API's TLS; None for plaintext."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return CertificateFiles(cert=self.tls_cert, key=self.tls_key, client_ca=self.tls_client_ca)

    @property
    def is_open(self) -> bool:
        """Whether others can reach the API and nothing keeps them from using it, or from reading along."""
        is_private = self.certificate_files is not None and (self.token_file or self.tls_client_ca)
        return not is_loopback(self.listen) and not is_private

    @model_validator(mode="after")
    def _require_whole_tls(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None) or (self.tls_client_ca and not self.tls_cert):
            raise ValueError("--tls-cert and --tls-key go together, and --tls-client-ca needs both")
        if self.tls_cert and socket_path(self.listen) is not None:
            raise ValueError("a socket needs no TLS, for only its owner can open it; leave out --tls-cert")
        return self

    @model_validator(mode="after")
    def _require_privacy(self) -> Settings:
        if self.is_open and not self.insecure:
            raise ValueError(
                f"{self.listen} can be reached from other machines and not everybody there is to be trusted; "
                "give --tls-cert and --tls-key with --token-file or --tls-client-ca, listen on 127.0.0.1, "
                "or accept it with --insecure"
            )
        return self
