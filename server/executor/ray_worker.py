# SPDX-License-Identifier: Apache-2.0
"""A worker on a node of a Ray cluster, as the server sees it: calls to the actor that owns the process there."""

from __future__ import annotations

import asyncio
import errno
import re
import signal
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import structlog
from ray.exceptions import OutOfMemoryError, RayError

from server.codec.lines import MAX_LINE_BYTES, STOP, LineError, one_line
from server.executor.ray_actor import Ending, Orders, WorkerActor
from server.executor.workers import KILL_GRACE_SECONDS

_CONCURRENT_CALLS = 16
"""Calls that one actor serves at the same time: waiting for the process, reading its lines, and killing it."""
_CAUSE_CHARACTERS = 200

log = structlog.get_logger("nas.executor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a worker reserves on its node.

    Attributes:
        pending_seconds: time between two log lines about a worker that waits for a node; after the first, a worker that
            no node could ever hold is given up.
    """

    cpus: int
    gpus: int
    pending_seconds: float = 300.0

    def unmet_by(self, nodes: Iterable[dict[str, Any]]) -> str:
        """Say what no living node could offer even if it were idle; empty if one could offer all."""
        totals = [node["Resources"] for node in nodes if node["Alive"]]
        if self.gpus and not any(total.get("GPU", 0) >= self.gpus for total in totals):
            return "the Ray cluster has no GPU; add a node with one, or leave out --ray-gpus"
        if not any(total.get("GPU", 0) >= self.gpus and total.get("CPU", 0) >= self.cpus for total in totals):
            beside = " beside its GPU" if self.gpus else ""
            return f"no node of the Ray cluster has {self.cpus} CPUs{beside}; add one, or give a smaller --ray-cpus"
        return ""


class RayWorker:
    """Follows the contract of ``Worker`` for a process on a node that Ray may still have to find."""

    def __init__(self, orders: Orders, demand: Demand) -> None:
        self._demand = demand
        self._log = Path(orders.log)
        actor_class: Any = ray.remote(WorkerActor)
        self._actor = actor_class.options(
            num_cpus=demand.cpus, num_gpus=demand.gpus, max_restarts=0, max_concurrency=_CONCURRENT_CALLS
        ).remote()
        self._start: asyncio.Future[str] = asyncio.ensure_future(_answer(self._actor.start.remote(orders)))
        self._move: Any = None
        self._end = asyncio.create_task(self._see_off())
        self._is_requested = False
        self._is_stopping = False

    async def _see_off(self) -> Ending:
        """Wait until the worker has ended or could not be started, and return how."""
        try:
            if fault := await asyncio.shield(self._start):
                return Ending(status=1, last_words=fault)
            ending: Ending = await self._actor.wait.remote()
        except RayError as error:
            return Ending(
                status=-signal.SIGKILL,
                has_memory_run_out=isinstance(error, OutOfMemoryError),
                cause=_cause(error),
            )
        return ending

    @property
    def is_alive(self) -> bool:
        """Whether its end is not known."""
        return not self._end.done()

    async def move_log(self, target: Path) -> None:
        """Have the log renamed as soon as there is one; ``send`` says if that cannot be done."""
        self._move = self._actor.move_log.remote(str(target))
        self._log = target

    async def send(self, line: bytes) -> None:
        """Wait for a node, as long as there may be one, and hand over the request."""
        await self._find_node()
        try:
            fault = await self._start or (self._move and await self._move)
            if not fault:
                self._is_requested = True
                if await self._actor.send.remote(line + (STOP if self._is_stopping else b"")):
                    return
        except RayError as error:
            raise ConnectionError(str(error)) from error
        if fault:
            raise OSError(errno.EIO, fault)
        raise ConnectionError("the worker is gone")

    async def _find_node(self) -> None:
        """Log at intervals what the worker waits for; give up if no node could ever hold it."""
        waited = 0.0
        while not (await asyncio.wait([self._start], timeout=self._demand.pending_seconds))[0]:
            waited += self._demand.pending_seconds
            unmet = self._demand.unmet_by(await asyncio.to_thread(find_nodes))
            hint = unmet or f"all nodes with {self._demand.cpus} CPUs and {self._demand.gpus} GPUs are busy"
            log.warning("worker_pending", seconds=round(waited), hint=hint)
            if unmet:
                raise OSError(errno.EAGAIN, unmet)

    def ask_to_stop(self) -> None:
        """Ask the process, or remember to ask it together with its request."""
        self._is_stopping = True
        if self._is_requested:
            self._actor.ask_to_stop.remote()

    async def lines(self, patience_seconds: float) -> AsyncIterator[bytes]:
        """Yield lines, each with a call to the actor: there is at most one per second."""
        while True:
            try:
                async with asyncio.timeout(patience_seconds):
                    line: bytes = await self._actor.hear.remote()
            except LineError as error:  # as Ray hands it on, which is a class of its own
                raise LineError(f"a line of the worker is longer than {MAX_LINE_BYTES >> 20} MiB") from error
            except RayError:
                return
            if not line:
                return
            yield line

    async def leave(self, seconds: float) -> int | None:
        """Wait for the end of the process and let its actor go."""
        done, _ = await asyncio.wait([self._end], timeout=seconds)
        if not done:
            await self._reap()
        self._let_go()
        return self._end.result().status if done else None

    def kill(self) -> None:
        """Kill the process through its actor, or the actor if it has yet to come to its node."""
        if self._start.done():
            self._actor.kill.remote()
        else:
            ray.kill(self._actor)

    async def _reap(self) -> None:
        """Kill and wait, but not for ever: a node that does not answer is left to Ray."""
        self.kill()
        await asyncio.wait([self._end], timeout=KILL_GRACE_SECONDS)

    async def discard(self) -> None:
        """Kill the process; its log goes with it."""
        await self._reap()
        self._let_go()
        self._log.unlink(missing_ok=True)

    def _let_go(self) -> None:
        ray.kill(self._actor)
        self._end.cancel()  # without effect unless the node has not answered

    @property
    def _ending(self) -> Ending | None:
        return self._end.result() if self._end.done() and not self._end.cancelled() else None

    def has_memory_run_out(self) -> bool:
        """Whether the node's kernel or Ray's own memory monitor has ended a process for want of memory."""
        return self._ending is not None and self._ending.has_memory_run_out

    def cause(self) -> str:
        """What became of the node or the actor."""
        return self._ending.cause if self._ending else ""

    def last_words(self) -> str:
        """Return the last line of the log, which the actor read on its node."""
        return self._ending.last_words if self._ending else ""


def find_nodes() -> list[dict[str, Any]]:
    """All nodes of the cluster, dead ones included."""
    nodes: Any = ray.nodes
    found: list[dict[str, Any]] = nodes()
    return found


def _cause(error: RayError) -> str:
    """Say in one sentence what took a worker away."""
    text = str(error)
    found = re.search(r"^\s*ip: (\S+)$", text, re.MULTILINE)
    node = f" {found[1]}" if found else ""
    if "node has died" in text:
        return f"the worker was lost with its node{node}"
    said = one_line(text.strip().rpartition("\n")[2].strip(), _CAUSE_CHARACTERS)
    return f"the worker was lost with its Ray actor on node{node}: {said}"


async def _answer(reference: Any) -> Any:
    """Wait for what an actor answers."""
    return await reference
