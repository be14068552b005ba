# SPDX-License-Identifier: Apache-2.0
"""The client starts at once: it loads neither torch nor numpy, and gRPC only when there is a server to talk to."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import search_records as records
from scripted_service import Script, ScriptedServer

from nas.api.v1 import search_service_pb2

CPU_SECONDS = 0.3
HEAVY = {"torch", "torchvision", "numpy", "sklearn", "PIL", "rich", "apsw", "structlog", "pydantic", "server"}
WIRE = {"grpc", "grpc_status"}
IN_A_TERMINAL = {**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"}
SHOW = ("arch", "show", "C(64,3) F() FC(10)", "--input", "1x28x28")


def loaded(*arguments: str, stdout: int = subprocess.PIPE) -> set[str]:
    """The top-level packages that a run of the client imports."""
    command = [sys.executable, "-X", "importtime", "-m", "client", *arguments]
    finished = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=IN_A_TERMINAL
    )
    names = re.findall(r"^import time:[^|]*\|[^|]*\|\s*([\w.]+)$", finished.stderr, flags=re.MULTILINE)
    assert "client.cli" in names
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), SHOW, ("arch", "transform", "--help")])
def test_offline_verbs_load_no_wire(arguments: tuple[str, ...]) -> None:
    """What needs no server loads neither gRPC nor anything heavy."""
    assert not loaded(*arguments) & (HEAVY | WIRE)


def test_help_loads_no_messages() -> None:
    """The help of the group does not even load protobuf."""
    assert "google" not in loaded("--help")


@pytest.mark.parametrize("verb", ["start", "watch", "list", "get", "children", "cancel", "plan", "version"])
def test_no_verb_loads_anything_heavy(verb: str) -> None:
    """Verbs that talk to a server load gRPC, and still neither torch nor numpy."""
    assert not loaded(verb, "--help") & HEAVY


@pytest.mark.parametrize("verb", ["submit", "jobs"])
def test_help_needs_no_library_for_clusters(verb: str) -> None:
    """Without the extra k8s the verbs explain themselves, and say in one sentence what to install."""
    program = "import sys; sys.modules['lightkube'] = sys.modules['yaml'] = None; from client.__main__ import run; "
    words = {"submit": ["--dataset=digits", "--block=ib", "--image=x"], "jobs": ["list"]}[verb]
    command = [sys.executable, "-c", f"{program} sys.exit(run({[verb, *words]}))"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert not loaded(verb, "--help") & {*HEAVY, "lightkube", "yaml", "httpx2"}
    assert (5, "") == (finished.returncode, finished.stdout)
    assert "Error: Jobs on a cluster need the extra k8s: pip install 'seib-nas[k8s]'.\n" == finished.stderr


@pytest.mark.parametrize(("options", "has_rich"), [((), True), (("--plain",), False), (("--output", "json"), False)])
def test_only_the_live_view_loads_rich(options: tuple[str, ...], has_rich: bool) -> None:
    """What draws the live view is loaded for those who see it: in a terminal, as text, unless they want lines."""
    answers = {"GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())]}
    ours, theirs = os.openpty()
    with ScriptedServer(Script(answers=answers, streams=[records.events()])) as server:
        names = loaded("--server", server.address, "watch", records.SEARCH_ID, *options, stdout=theirs)
    os.close(theirs)
    os.close(ours)

    assert has_rich == ("rich" in names)


def test_a_pipe_loads_no_rich() -> None:
    """Where there is no terminal there is no live view to draw."""
    answers = {"GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())]}
    with ScriptedServer(Script(answers=answers, streams=[records.events()])) as server:
        assert "rich" not in loaded("--server", server.address, "watch", records.SEARCH_ID)


@pytest.mark.parametrize("arguments", [("--help",), SHOW])
def test_start_up_costs_little(arguments: tuple[str, ...]) -> None:
    """``--help`` and ``arch show`` take under 0.3 s of CPU time; the best of three counts, as the machine is shared."""
    assert min(cpu_seconds(arguments) for _ in range(3)) < CPU_SECONDS


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """User and system time of one run."""
    process = subprocess.Popen([sys.executable, "-m", "client", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert 0 == process.returncode
    return usage.ru_utime + usage.ru_stime
