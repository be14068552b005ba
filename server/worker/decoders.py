# SPDX-License-Identifier: Apache-2.0
"""Has image files decoded by other processes, one per processor; a crash is recorded as the fault of its file.

Each process belongs to one thread, which starts another process after a crash. Results wait in a short queue, so memory
does not grow with the number of files.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO

import numpy as np

from nas.data import FoundFile, Header, Picture, Reading, Tree, Wanted
from server.codec.preparing import ENVIRONMENT
from server.worker.lifeline import PARENT_VARIABLE

PROGRAM = ("-m", "server.worker.decode")
"""Arguments of Python that start one such process."""
_FILES_PER_PROCESS = 16
"""With fewer files, starting another process takes longer than it saves."""
_POLL_SECONDS = 0.1

_Done = tuple[FoundFile, Reading] | Exception


@dataclass(frozen=True, slots=True)
class DecoderProcesses:
    """A reader for ``nas.data`` that decodes in several processes.

    Attributes:
        most: processes at a time; 0 means one per processor that this process may use.
    """

    most: int = 0

    def read(self, tree: Tree, files: Iterable[FoundFile], wanted: Wanted) -> Iterator[tuple[FoundFile, Reading]]:
        """Read files as ``nas.data.Reader.read`` says, and yield them in the order in which they are done."""
        jobs: queue.SimpleQueue[FoundFile] = queue.SimpleQueue()
        count = 0
        for file in files:
            jobs.put(file)
            count += 1
        processors = self.most or len(os.sched_getaffinity(0))
        workers = min(processors, -(-count // _FILES_PER_PROCESS))
        done: queue.Queue[_Done] = queue.Queue(maxsize=2 * max(1, workers))
        pool = [_Decoder(tree, wanted, jobs, done) for _ in range(workers)]
        for decoder in pool:
            decoder.thread.start()
        try:
            for _ in range(count):
                item = done.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            for decoder in pool:
                decoder.stop()


@dataclass(slots=True)
class _Decoder:
    """One thread and the process that it runs."""

    tree: Tree
    wanted: Wanted
    jobs: queue.SimpleQueue[FoundFile]
    done: queue.Queue[_Done]
    thread: threading.Thread = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _is_stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="decoder", daemon=True)

    def stop(self) -> None:
        """End the process, whatever it is doing, and wait for the thread."""
        self._is_stopped.set()
        process = self._process
        if process is not None:
            process.kill()
        self.thread.join()

    def _run(self) -> None:
        try:
            while not self._is_stopped.is_set():
                try:
                    file = self.jobs.get_nowait()
                except queue.Empty:
                    break
                self._hand_over((file, self._read(file)))
        except Exception as error:
            self._hand_over(error)
        finally:
            if self._process is not None:
                self._end(self._process)

    def _hand_over(self, item: _Done) -> None:
        while not self._is_stopped.is_set():
            with contextlib.suppress(queue.Full):
                self.done.put(item, timeout=_POLL_SECONDS)
                return

    def _read(self, file: FoundFile) -> Reading:
        process = self._process or self._start()
        requests, answers = _pipes(process)
        try:
            requests.write(json.dumps(file.parts).encode() + b"\n")
            requests.flush()
            line = answers.readline()
            told = json.loads(line) if line.endswith(b"\n") else None
            pixels = b"" if told is None else answers.read(told["bytes"])
        except BrokenPipeError:
            told, pixels = None, b""
        if told is None or len(pixels) != told["bytes"]:
            return self._bury(process)
        header = None if told["header"] is None else Header(**told["header"])
        shape = self.wanted.shape
        picture = None
        if shape is not None and pixels:
            pixels_CHW = np.frombuffer(pixels, np.uint8).reshape(shape.channels, shape.height, shape.width)
            picture = Picture(pixels_CHW=pixels_CHW, bits=told["bits"])
        return Reading(sha256=told["sha256"], header=header, fault=told["fault"], picture=picture)

    def _bury(self, process: subprocess.Popen[bytes]) -> Reading:
        """Wait for a process that ended while it read a file, and return that as the fault of the file.

        Raises:
            RuntimeError: the process exited without a signal, which is a bug and not the fault of the file.
        """
        self._process = None
        status = self._end(process)
        if status >= 0 and not self._is_stopped.is_set():
            raise RuntimeError(f"a process that decodes images ended with status {status}")
        fault = _FAULTS.get(-status, f"makes the decoder crash (signal {-status})")
        return Reading(sha256="", header=None, fault=fault)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.tree.descriptor,),
            env={**os.environ, **ENVIRONMENT, PARENT_VARIABLE: str(os.getpid())},
        )
        self._process = process
        if self._is_stopped.is_set():  # ``stop`` may have come before it could see this process
            process.kill()
        task = {"descriptor": self.tree.descriptor, "wanted": asdict(self.wanted)}
        requests, _ = _pipes(process)
        requests.write(json.dumps(task).encode() + b"\n")
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        for pipe in _pipes(process):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return process.wait()


_FAULTS: dict[int, str] = {
    signal.SIGXCPU: "takes more processor time to decode than is allowed",
    signal.SIGKILL: "takes more memory or time to decode than this machine has",
}


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Where requests go to and answers come from."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    return process.stdin, process.stdout
