# SPDX-License-Identifier: Apache-2.0
"""``make image-test``: build the image and live through a search with it, under the restrictions of the manifests.

The pod of ``k8s/overlays/cpu`` runs with podman: it becomes healthy, searches, is told to stop between epochs, starts
again, resumes, ends; a copy of its volume, made in between, ends with the same digest; then the server of
``k8s/overlays/service`` hands out the net. Needs root, buildah, podman, runc, conmon and mmdebstrap. Exit status: 0, or
1 with a sentence.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import image_build
from image_pod import Pod, configure_engine, probe, workload

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    *("--train-limit=300", "--max-iterations=1", "--max-epochs=2", "--seed=7", "--threads=1", "--linger=2"),
    "--time-budget=none",
)
"""A search of a minute; these words come after those of the manifest and win. Without a budget digests are equal."""
API, HEALTH, METRICS = 50051, 50052, 9464
DEADLINE_SECONDS = 240.0


def main() -> int:
    """Build, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--constraints", default="constraints/cpu.txt", help="which PyTorch; default: %(default)s")
    parser.add_argument("--skip-build", action="store_true", help="test the image that the last run has built")
    parser.add_argument("--build-only", action="store_true", help="leave it at that")
    options = parser.parse_args()
    image_build.require_tools()
    with tempfile.TemporaryDirectory(prefix="nas-image-") as name:
        folder = Path(name)
        if not options.skip_build:
            begin = time.monotonic()
            image_build.ensure_base(folder)
            image_build.build(folder, options.constraints)
            report("built", f"{time.monotonic() - begin:.0f} s, {options.constraints}")
        size = int(image_build.run(["podman", "image", "inspect", "--format", "{{.Size}}", image_build.IMAGE]))
        report("image size", f"{size / 1e9:.2f} GB")
        if not options.build_only:
            configure_engine(folder)
            live(folder)
    return 0


def live(folder: Path) -> None:
    """The story: health, a search, SIGTERM, restart, resume, the end, export."""
    job = Pod(
        "nas-image-test", image_build.IMAGE, workload(ROOT / "k8s/overlays/cpu")["spec"]["template"]["spec"], folder
    )
    job.arguments += SMALL
    try:
        report("healthy", f"{start(job):.1f} s after the start")
        check_confinement(job)
        search = wait_for(job, lambda: find_search(job), "the search")
        three = wait_for(job, lambda: (found := epochs(job, search))[2:] and found, "three epochs")
        before = int(three[-1]["sequence"])
        seconds = job.stop()
        expect("exit status after SIGTERM", 75, job.wait())
        report("stopped", f"{seconds:.1f} s after SIGTERM, status 75, at event {before} or later")
        job.remove()
        image_build.run(["cp", "-a", folder / "state", folder / "backup"])
        begin = datetime.now(UTC)
        healthy = start(job)
        seen = wait_for(job, lambda: epochs(job, search, after=before), "an epoch after the restart")
        late = min(at for event in seen if (at := datetime.fromisoformat(event["time"])) > begin) - begin
        report("resumed", f"healthy after {healthy:.1f} s, next epoch after {late.total_seconds():.1f} s")
        expect("exit status", 0, job.wait())
        report("searched", "status 0")
    except SystemExit:
        print(job.log, file=sys.stderr)
        raise
    finally:
        job.remove()
    restore(folder, search)
    export(folder, search)


def start(pod: Pod) -> float:
    """Start a pod and wait until its three probes succeed; returns the seconds."""
    begin = time.monotonic()
    pod.start()
    wait_for(pod, lambda: all(probe(pod, HEALTH, service) for service in ("", "", "liveness")), "health")
    return time.monotonic() - begin


def check_confinement(pod: Pod) -> None:
    """Look from inside at what the manifest promises."""
    status = dict(
        line.split(":\t", 1) for line in pod.execute("cat", "/proc/1/status").stdout.splitlines() if ":\t" in line
    )
    expect("user", "10001", status["Uid"].split("\t")[0])
    expect("effective capabilities", 0, int(status["CapEff"], 16))
    expect("no new privileges", "1", status["NoNewPrivs"])
    expect("system call filter", "2", status["Seccomp"])
    for path in ("/opt/nas/x", "/data/x", "/etc/x"):
        expect(f"status of writing {path}", True, pod.execute("touch", path).returncode != 0)
    expect("status of writing /tmp/x", 0, pod.execute("touch", "/tmp/x").returncode)  # noqa: S108 - in the container
    metrics = subprocess.run(
        pod.reach(sys.executable, "-c", _SCRAPE, f"http://127.0.0.1:{METRICS}/metrics"),
        capture_output=True,
        text=True,
        check=False,
    )
    expect("metrics", True, "nas_build_info" in metrics.stdout)
    report("confined", "uid 10001, no capabilities, read-only root and data, no network but loopback; metrics answer")


def restore(folder: Path, search: str) -> None:
    """Put the copy of the state volume in its place elsewhere: the search ends as the original has ended."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "backup").rename(elsewhere / "state")
    spec = workload(ROOT / "k8s/overlays/cpu")["spec"]["template"]["spec"]
    job = Pod("nas-image-test-restored", image_build.IMAGE, spec, elsewhere)
    job.arguments += SMALL
    try:
        start(job)
        expect("exit status from the backup", 0, job.wait())
        expect("digest", digest(folder, search), digest(elsewhere, search))
    except SystemExit:
        print(job.log, file=sys.stderr)
        raise
    finally:
        job.remove()
    report("restored", "a copy of the state volume, made after SIGTERM, led to the same digest")


def digest(folder: Path, search: str) -> str:
    """What the search on a volume has found."""
    return image_build.run([sys.executable, "-m", "server", "digest", "--state-dir", folder / "state", search])


def export(folder: Path, search: str) -> None:
    """Serve the volume that the Job left, and take its net home."""
    spec = workload(ROOT / "k8s/overlays/service")["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "state", "persistentVolumeClaim": {"claimName": "nas-search-state"}})
    server = Pod("nas-image-test-server", image_build.IMAGE, spec, folder)
    try:
        start(server)
        state = json.loads(client(server, "--output", "json", "get", search))["state"]
        expect("state", "STATE_SUCCEEDED", state)
        client(server, "export", search, "--to", str(folder / "model"))
        files = sorted(path.name for path in (folder / "model").iterdir())
        server.stop()
        expect("exit status of serve", 0, server.wait())
        report("exported", ", ".join(files))
    except SystemExit:
        print(server.log, file=sys.stderr)
        raise
    finally:
        server.remove()


def client(pod: Pod, *words: str) -> str:
    """Run this tree's nas-client against the pod; returns what it printed, "" if it failed."""
    command = pod.reach(sys.executable, "-m", "client", "--server", f"127.0.0.1:{API}", *words)
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout


def find_search(pod: Pod) -> str:
    """The id of the pod's search, "" before there is one."""
    document = client(pod, "--output", "json", "list")
    searches = json.loads(document)["searches"] if document else []
    return str(searches[0]["search_id"]) if searches else ""


def epochs(pod: Pod, search: str, after: int = 0) -> list[dict[str, Any]]:
    """The epochs that a search has completed after an event."""
    code = "import subprocess, sys; subprocess.run(sys.argv[1:], timeout=3)"
    words = ("-m", "client", "--server", f"127.0.0.1:{API}", "--output", "jsonl", "watch", search, f"--after={after}")
    command = pod.reach(sys.executable, "-c", code, sys.executable, *words)
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return [event for line in finished.stdout.splitlines() if "epoch_completed" in (event := json.loads(line))]


def wait_for(pod: Pod, condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of a condition, as long as the pod lives."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline or not pod.is_running:
            raise SystemExit(f"Waited in vain for {what}.")
        time.sleep(0.1)
    return value


def expect(what: str, expected: object, actual: object) -> None:
    """End with a sentence unless two values are equal."""
    if expected != actual:
        raise SystemExit(f"{what}: expected {expected}, got {actual}.")


def report(what: str, text: str) -> None:
    """Print one line of the result."""
    print(f"{what:<12} {text}", flush=True)


_SCRAPE = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"

if __name__ == "__main__":
    sys.exit(main())
