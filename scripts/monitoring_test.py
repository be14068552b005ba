# SPDX-License-Identifier: Apache-2.0
"""``make monitoring-test``: a real Prometheus reads a real search; every panel and every alert is asked for its data.

Needs Debian's package ``prometheus``. Exit status: 0, or 1 with a sentence.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from panels import BOARDS, Panel, Query

ROOT = Path(__file__).resolve().parent.parent
LABELS = {"namespace": "ml", "pod": "nas-search-a", "container": "nas"}
"""What the PodMonitor adds to the series of a pod."""
SEARCH = (
    *("--dataset", "digits", "--block", "seib", "--max-iterations", "1", "--max-epochs", "2"),
    *("--train-limit", "300", "--threads", "1", "--seed", "7", "--linger", "600"),
)
DEADLINE_SECONDS = 240.0
GPU_SERIES = ("nas_gpu_utilisation_ratio", "nas_gpu_memory_used_bytes", "nas_gpu_memory_total_bytes")


def main() -> int:
    """Check, run, ask, report."""
    missing = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. On Debian: apt-get install --no-install-recommends prometheus")
    with tempfile.TemporaryDirectory(prefix="nas-monitoring-") as name:
        folder = Path(name)
        write_rules(folder)
        report("rules", promtool("check", "rules", "--lint=all", "--lint-fatal", folder / "rules.yaml"))
        (folder / "alerts.yaml").write_text((ROOT / "tests/monitoring/alerts.yaml").read_text())
        report("alerts", promtool("test", "rules", folder / "alerts.yaml"))
        (folder / "gpus.yaml").write_text(yaml.safe_dump(gpu_test()))
        report("GPU panels", promtool("test", "rules", folder / "gpus.yaml") + " (of made-up series: no GPU here)")
        live(folder)
    return 0


def live(folder: Path) -> None:
    """Let Prometheus read a search to its end, then ask for everything."""
    with server(folder) as target, prometheus(folder, target) as address:
        page = urllib.request.urlopen(f"http://{target}/metrics", timeout=5).read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
        if checked.returncode:
            sys.exit(f"promtool check metrics: {checked.stderr.decode()}{checked.stdout.decode()}")
        report("metrics", f"{page.count(b'# TYPE ')} families, promtool finds nothing to complain about")
        begin = time.time()
        wait_for(lambda: is_over(folder, address), "the search to succeed")
        report("search", f"succeeded, read by Prometheus for {time.time() - begin:.0f} s")
        check_rules(address)
        empty = [line for board in BOARDS for line in show(address, board.panels, begin)]
    if empty:
        sys.exit("These panels show nothing:\n" + "\n".join(empty))
    shown = [panel for board in BOARDS for panel in board.panels if not panel.needs_gpu]
    report("panels", f"all {sum(len(panel.queries) for panel in shown)} queries of {len(shown)} panels have data")


def is_over(folder: Path, address: str) -> bool:
    """Call the API, so that there are calls to see, and ask Prometheus whether the search has succeeded."""
    command = [sys.executable, "-m", "client", "--server", (folder / "address").read_text().strip(), "list"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return value(address, 'nas_searches{state="succeeded"}') == 1


def show(address: str, panels: tuple[Panel, ...], begin: float) -> Iterator[str]:
    """Print what each panel gets; yield those that get nothing."""
    for panel in panels:
        if panel.needs_gpu:
            continue
        for query in panel.queries:
            text = fill_in(query)
            window = {"query": text, "start": begin, "end": time.time(), "step": 1}
            series = ask(address, "query_range", window)["result"]
            numbers = [float(at[1]) for each in series for at in each["values"] if not math.isnan(float(at[1]))]
            last = f"{len(series)} series, {len(numbers)} samples, last {numbers[-1]:g}" if numbers else "nothing"
            report("panel", f"{panel.title}: {query.legend or panel.title}: {last}")
            if not numbers:
                yield f"{panel.title}: {text}"


def fill_in(query: Query) -> str:
    """An expression as Grafana sends it, for the choice of everything."""
    text = query.text.replace("$namespace", ".*").replace("$pod", ".*")
    return text.replace("$__rate_interval", "15s")


def gpu_test() -> dict[str, Any]:
    """A test for promtool: with two GPUs each panel about GPUs has two curves."""
    both = [{**LABELS, "gpu": number} for number in ("0", "1")]
    series = [(name, "0.5x30") for name in GPU_SERIES] + [("nas_gpu_energy_joules_total", "0+250x30")]
    queries = [query for board in BOARDS for panel in board.panels if panel.needs_gpu for query in panel.queries]
    return {
        "rule_files": [],
        "tests": [
            {
                "interval": "5s",
                "input_series": [
                    {"series": f"{name}{{{write_labels(labels)}}}", "values": values}
                    for name, values in series
                    for labels in both
                ],
                "promql_expr_test": [
                    {
                        "expr": f"count({fill_in(query)})",
                        "eval_time": "1m",
                        "exp_samples": [{"labels": "{}", "value": 2}],
                    }
                    for query in queries
                ],
            }
        ],
    }


def write_labels(labels: dict[str, str]) -> str:
    """Labels as PromQL writes them."""
    return ",".join(f'{name}="{text}"' for name, text in labels.items())


def check_rules(address: str) -> None:
    """Every rule has been evaluated without an error, and none fires about a search that went well."""
    wait_for(lambda: all(rule["health"] == "ok" for rule in rules(address)), "Prometheus to evaluate the rules")
    firing = [rule["name"] for rule in rules(address) if rule["state"] == "firing"]
    if firing:
        sys.exit(f"These alerts fire for no reason: {', '.join(firing)}.")
    report("rules", f"{len(rules(address))} evaluated by Prometheus, none fires")


def rules(address: str) -> list[dict[str, Any]]:
    """The rules that Prometheus has loaded."""
    return [rule for group in ask(address, "rules", {})["groups"] for rule in group["rules"]]


def write_rules(folder: Path) -> None:
    """Take the groups out of the resource that the operator reads."""
    resource = yaml.safe_load((ROOT / "k8s/overlays/monitoring/prometheus-rule.yaml").read_text())
    (folder / "rules.yaml").write_text(yaml.safe_dump(resource["spec"], width=1000))


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A search in a nas-server of its own; gives the address of its metrics."""
    target = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "server", "run", "--state-dir", str(folder / "state"), "--listen", "127.0.0.1:0"]
    command += ["--port-file", str(folder / "address"), "--metrics-listen", target]
    with program([*command, *SEARCH], folder / "server.log"):
        wait_for((folder / "address").exists, "the server")
        yield target


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that reads one target every second; gives its address."""
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [{"job_name": "nas", "static_configs": [{"targets": [target], "labels": LABELS}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    promtool("check", "config", folder / "prometheus.yaml")
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--web.listen-address={address}"]
    with program([*command, f"--storage.tsdb.path={folder / 'series'}"], folder / "prometheus.log"):
        wait_for(lambda: is_answering(f"http://{address}/-/ready"), "Prometheus")
        yield address


@contextmanager
def program(command: list[str], log: Path) -> Iterator[None]:
    """Run a program as long as the block lasts."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    try:
        yield
    except SystemExit:
        print(log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def promtool(*words: str | Path) -> str:
    """Run promtool, which has to find nothing wrong; returns its last line."""
    finished = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"promtool {' '.join(map(str, words))}: {finished.stdout}{finished.stderr}")
    return finished.stdout.strip().splitlines()[-1].strip()


def ask(address: str, what: str, words: dict[str, Any]) -> dict[str, Any]:
    """Ask Prometheus' API."""
    url = f"http://{address}/api/v1/{what}?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return dict(json.load(answer)["data"])


def value(address: str, query: str) -> float:
    """The value of an expression with one series; NaN if it has none."""
    found = ask(address, "query", {"query": query})["result"]
    return float(found[0]["value"][1]) if found else math.nan


def is_answering(url: str) -> bool:
    """Whether a page is there."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - one of the addresses above
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Waited in vain for {what}.")
        time.sleep(0.5)


def report(what: str, text: str) -> None:
    """Print one line of the result."""
    print(f"{what:<12} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
