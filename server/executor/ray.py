# SPDX-License-Identifier: Apache-2.0
"""Attempts on the nodes of a Ray cluster: the same worker processes, each owned by an actor on its node.

All nodes share two folders with the server, ``searches`` and ``cache`` of the state folder; the journal is the server's
alone. Ray's own state is a cache: when its cluster is gone, so are the workers, and the journal says what has to run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import ray
import structlog

from server.codec.lines import one_line
from server.executor.attempts import ProcessExecutor
from server.executor.instructions import WorkerOptions
from server.executor.ray_actor import Orders
from server.executor.ray_worker import Demand, RayWorker, find_nodes
from server.executor.workers import PlaceError, Worker
from server.files import StateFiles

AUTO = "auto"
"""Instead of an address: the cluster that this machine is a node of."""
_REACH_SECONDS = 5.0
"""How long the cluster's address may take to answer; Ray itself would try for minutes."""
_SAID_CHARACTERS = 200

log = structlog.get_logger("nas.executor")


class RayWorkers:
    """Follows the contract of ``Workers`` on the nodes of one cluster, of which this process is a driver."""

    def __init__(self, orders: Orders, demand: Demand) -> None:
        self._orders = orders
        self._demand = demand

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        return "ray"

    async def spawn(self, log: Path) -> Worker:
        """Ask for an actor; it may have to wait for its node."""
        return RayWorker(replace(self._orders, log=str(log)), self._demand)

    async def close(self) -> None:
        """Leave the cluster, which ends what is left of this server's actors."""
        await asyncio.to_thread(ray.shutdown)


def ray_executor(
    *,
    slots: int,
    files: StateFiles,
    options: WorkerOptions,
    address: str,
    demand: Demand,
    program: Sequence[str] | None = None,
) -> ProcessExecutor:
    """Make an executor whose workers are processes on the nodes of a Ray cluster.

    Args:
        slots: attempts at a time.
        files: of the server.
        options: of all workers.
        address: HOST:PORT of the cluster, or ``auto`` for the one that this machine is a node of.
        demand: of each worker.
        program: instead of the worker of the node's own Python.

    Raises:
        PlaceError: there is no such cluster, or it does not let this machine in.
        OSError: the shared folders cannot be written.
    """
    _connect(address)
    orders = Orders(
        arguments=("--trainer", options.trainer),
        program=None if program is None else tuple(program),
        environment={name: value for name, value in os.environ.items() if name.startswith("NAS_")},
        log="",
        marks=_mark(files),
        version=version("seib-nas"),
    )
    if unmet := demand.unmet_by(find_nodes()):
        log.warning("cluster_too_small", hint=unmet)
    return ProcessExecutor(slots=slots, files=files, options=options, workers=RayWorkers(orders, demand))


def _connect(address: str) -> None:
    """Become a driver of the cluster, and leave the handling of signals as it was."""
    if address != AUTO:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
        except OSError as error:
            raise PlaceError(f"no Ray cluster answers at {address} ({error.strerror or error})") from error
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except Exception as error:
        said = one_line(str(error.__cause__ or error).strip().partition("\n")[0], _SAID_CHARACTERS)
        raise PlaceError(
            f"Ray cannot be used at {address}: {said} "
            "(this machine has to be a node of the cluster, as 'ray start --address=HOST:PORT --num-cpus=0' makes it)"
        ) from error
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def _mark(files: StateFiles) -> tuple[tuple[str, str], ...]:
    """Put a file into each folder that nodes share, new for every server, so that workers can tell that they see it."""
    content = secrets.token_hex(8)
    for path in files.marks:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tuple((str(path), content) for path in files.marks)
