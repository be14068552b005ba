# SPDX-License-Identifier: Apache-2.0
"""The command surface is a contract: verbs, options and exit statuses change only with a visible change here."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from client.cli import VERBS, cli
from client.errors import Exit
from client.settings import DEFAULT_SERVER, DEFAULT_TIMEOUT_SECONDS, Output, Settings

SEARCH_OPTIONS = {
    *(
        "--dataset",
        "--block",
        "--preset",
        "--seed",
        "--max-iterations",
        "--max-epochs",
        "--patience",
        "--learning-rate",
    ),
    *("--weight-decay", "--batch-size", "--input-size", "--train-limit", "--time-budget", "--device", "--precision"),
    *("--threads", "--initial", "--selection-metric", "--max-parameters", "--class-map", "--max-bad-files", "--fit"),
    *(
        "--max-attempts",
        "--max-failed-children",
        "--group-regex",
        "--sample-bits",
        "--imbalance",
        "--augment",
        "--clip-norm",
        "--decay-scope",
        "--ema",
        "--label-smoothing",
        "--min-steps",
        "--operations",
        "--growth",
        "--schedule",
        "--warmup",
        "--folds",
        "--fold",
        "--finish",
    ),
}
CREDENTIALS = {"--tls-ca", "--tls-cert", "--tls-key", "--token-file"}
SURFACE = {
    "": {"--server", "--profile", *CREDENTIALS, "--local", "--state-dir", "--output", "--timeout", "--version"},
    "start": {*SEARCH_OPTIONS, "--verify", "--request-id", "--detach", "--reconnect", "--plain", "--output"},
    "watch": {"SEARCH", "--after", "--reconnect", "--plain", "--output"},
    "list": {"--limit", "--output"},
    "get": {"SEARCH", "--output"},
    "children": {"SEARCH", "[CHILD]", "--output"},
    "ablate": {"SEARCH", "--reconnect", "--output"},
    "crossvalidate": {"SEARCH", "--folds", "--net", "--reconnect", "--output"},
    "cancel": {"SEARCH", "--output"},
    "plan": {*SEARCH_OPTIONS, "--verify", "--output"},
    "arch": set(),
    "arch show": {"NOTATION", "--input", "--classes", "--output"},
    "arch transform": {"NOTATION", "--op", "--position", "--by", "--kernel", "--block", "--input", "--output"},
    "version": {"--output"},
    "pause": {"SEARCH", "--output"},
    "resume": {"SEARCH", "--output"},
    "delete": {"SEARCH", "--yes", "--output"},
    "export": {"SEARCH", "--child", "--smallest", "--to", "--output"},
    "logs": {"SEARCH", "CHILD", "--attempt"},
    "datasets": set(),
    "datasets list": {"--output"},
    "datasets info": {"NAME", "--output"},
    "datasets manifest": {"SET", "PATH", "--only", "--no-split"},
    "datasets check": {
        "PATH",
        "--as",
        "--class-map",
        "--fit",
        "--group-regex",
        "--sample-bits",
        "--input-size",
        "--seed",
        "--names",
        "--output",
    },
    "submit": {
        *SEARCH_OPTIONS,
        *("--image", "--name", "--gpus", "--cpus", "--memory", "--queue", "--data-claim", "--state-size", "--context"),
        *("--namespace", "--dry-run", "--detach", "--wait", "--reconnect", "--plain", "--output", "-o"),
    },
    "jobs": set(),
    "jobs list": {"--context", "--namespace", "--output"},
    "jobs attach": {"JOB", "--context", "--namespace", "--wait", "--reconnect", "--plain", "--output"},
    "jobs logs": {"JOB", "--context", "--namespace", "--follow", "--reconnect"},
    "jobs delete": {"JOB", "--context", "--namespace", "--with-state", "--yes"},
    "config": set(),
    "config show": {"--output"},
    "config set": {"NAME", "--server", *CREDENTIALS},
    "config use": {"NAME"},
    "config list": {"--output"},
    "completion": {"{bash|zsh|fish}"},
}
CHOICES = {
    ("", "--output"): ["text", "json", "jsonl"],
    ("start", "--output"): ["text", "json", "jsonl"],
    ("start", "--block"): ["ib", "seib", "eca", "attn"],
    ("start", "--preset"): ["paper", "efficient"],
    ("start", "--device"): ["auto", "cpu", "cuda", "mps"],
    ("start", "--precision"): ["auto", "fp32", "bf16"],
    ("start", "--schedule"): ["constant", "one-cycle"],
    ("start", "--decay-scope"): ["all", "weights"],
    ("start", "--selection-metric"): ["accuracy", "balanced-accuracy", "auto"],
    ("start", "--growth"): ["fixed", "proportional"],
    ("start", "--fit"): ["pad", "crop"],
    ("crossvalidate", "--net"): ["winner", "smallest"],
    ("datasets check", "--as"): ["mnist", "fashion-mnist", "folder", "manifest", "kau"],
    ("arch transform", "--op"): ["add_layer", "add_block", "widen", "concat", "narrow", "remove_layer", "add_pool"],
    ("arch transform", "--block"): ["ib", "seib", "eca", "attn"],
}


def walk(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group by its words."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk(child, f"{path} {name}".strip())


COMMANDS = dict(walk(cli))


def surface(command: click.Command) -> set[str]:
    """The options and arguments of a command as its help writes them."""
    names = set()
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names.update(parameter.opts)
        else:
            names.add(parameter.make_metavar(click.Context(command)))
    return names


def test_verbs_and_options() -> None:
    """Nothing is added, renamed or taken away unnoticed."""
    assert {path: surface(command) for path, command in COMMANDS.items()} == SURFACE


@pytest.mark.parametrize(("path", "option"), CHOICES)
def test_choices(path: str, option: str) -> None:
    """An option with fixed words takes exactly these."""
    (parameter,) = [p for p in COMMANDS[path].params if option in p.opts]

    assert isinstance(parameter.type, click.Choice)
    assert CHOICES[path, option] == list(parameter.type.choices)


def test_exit_statuses() -> None:
    """The statuses are those that the documentation promises."""
    assert {
        "OK": 0,
        "UNEXPECTED": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "SEARCH_FAILED": 4,
        "UNAVAILABLE": 5,
        "NOT_PERMITTED": 6,
        "INTERRUPTED": 130,
    } == {status.name: status.value for status in Exit}


def test_summaries_are_those_of_the_verbs() -> None:
    """The help of the group, which loads no verb, says what each verb says of itself."""
    for verb, (_, summary) in VERBS.items():
        assert summary.rstrip(".") in " ".join((COMMANDS[verb].help or "").split())


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_every_verb_has_help_and_two_examples(path: str) -> None:
    """Each verb explains itself and shows two ways to use it; each option has its help."""
    command = COMMANDS[path]

    assert command.help
    assert 2 == (command.epilog or "").count(f"nas-client {path}")
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_examples_are_accepted(path: str) -> None:
    """The words of every example are understood by the verb that shows it."""
    command = COMMANDS[path]
    lines = [line for line in (command.epilog or "").splitlines() if "nas-client" in line]

    for line in lines:
        words = shlex.split(line)[1 + len(path.split()) :]
        settings = Settings(server=DEFAULT_SERVER, output=Output.TEXT, timeout=DEFAULT_TIMEOUT_SECONDS)
        assert path == command.make_context(path, words, obj=settings).info_name


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["start", "--help"], 0),
        (["arch", "show", "C(2,3) F() FC(2)", "--input", "1x8x8"], 0),
        ([], 2),
        (["no-such-verb"], 2),
        (["get"], 2),
        (["arch", "show", "C(2,3)", "--input", "1x8x8"], 2),
        (["--server", "nowhere", "list"], 2),
        (["--server", "127.0.0.1:1", "--timeout", "5", "get", "x"], 5),
    ],
)
def test_status_of_the_process(arguments: list[str], status: int) -> None:
    """The process ends with the documented status and never with a traceback."""
    finished = subprocess.run(
        [sys.executable, "-m", "client", *arguments], capture_output=True, text=True, timeout=60, check=False
    )

    assert (status, False) == (finished.returncode, "Traceback" in finished.stderr)
    assert bool(finished.stdout) == (status == 0)


def test_the_unexpected_is_one_sentence() -> None:
    """What nobody foresaw gives 1 and one line, and its traceback only on demand."""
    program = "import sys; sys.modules['client.views'] = None; from client.__main__ import run; sys.exit(run(['list']))"
    command = [sys.executable, "-c", program]
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    loud = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "NAS_DEBUG": "1"}
    )

    assert (1, 1) == (quiet.returncode, quiet.stderr.count("\n"))
    assert "NAS_DEBUG=1" in quiet.stderr
    assert "Traceback" in loud.stderr


def test_talk_never_becomes_data() -> None:
    """With standard error closed, what belongs there goes nowhere, least of all to standard output."""
    command = ["sh", "-c", '"$0" -m client no-such-verb 2>&-', sys.executable]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (2, "") == (finished.returncode, finished.stdout)


def test_talk_that_nobody_hears_changes_no_status() -> None:
    """A full disk or a reader that has left, as in ``2>&1 | head``, is no reason to end otherwise."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "client", "no-such-verb"]
        finished = subprocess.run(command, stderr=full, timeout=60, check=False)

    assert 2 == finished.returncode


def test_a_full_disk_is_one_sentence() -> None:
    """Output that cannot be written is a failure."""
    command = [sys.executable, "-m", "client", "arch", "show", "C(2,3) F() FC(2)", "--input", "1x8x8"]
    with open("/dev/full", "w") as full:
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    assert (1, "Error: Standard output cannot be written: No space left on device.\n") == (
        finished.returncode,
        finished.stderr,
    )
