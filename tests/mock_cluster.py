# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API over HTTP that stores what it is sent, and a kubectl that forwards to servers of this machine.

No controller runs: the test itself plays scheduler, Job controller and kubelet.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp.web
import kmock
import pods
import yaml

NAMESPACE = "ml"
RESOURCES = {
    "Job": "batch/v1/jobs",
    "Pod": "v1/pods",
    "Event": "v1/events",
    "PersistentVolumeClaim": "v1/persistentvolumeclaims",
    "ServiceAccount": "v1/serviceaccounts",
    "NetworkPolicy": "networking.k8s.io/v1/networkpolicies",
    "LocalQueue": "kueue.x-k8s.io/v1beta1/localqueues",
    "Workload": "kueue.x-k8s.io/v1beta1/workloads",
}
_KUBECTL = """\
#!/bin/sh
for word; do case $word in pod/*) pod=${{word#pod/}};; esac; done
refusals="{folder}/$pod.refusals"
if [ -s "$refusals" ]; then
    refusal=$(head -n 1 "$refusals")
    sed -i 1d "$refusals"
    if [ "$refusal" = hang ]; then exec sleep 600; fi
    printf '%s\n' "$refusal" >&2
    exit 1
fi
address=$(cat "{folder}/$pod") || exit 1
echo "Forwarding from $address -> 50051"
exec sleep 600
"""

Document = dict[str, Any]


def _failure(code: int, message: str) -> Document:
    """An error as an API server writes it."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


def _forbidden(request: Any, rules: list[Document]) -> str:
    """Why a Role does not permit a request; empty if it does."""
    verbs = {"POST": "create", "DELETE": "delete", "GET": "get" if request.name else "list"}
    verb, resource = verbs[request.method.name], request.resource
    kind = "/".join(filter(None, (resource.plural, request.subresource)))
    group = resource.group or ""
    for rule in rules:
        if group in rule["apiGroups"] and kind in rule["resources"] and verb in rule["verbs"]:
            return ""
    return f'{kind} is forbidden: User "ada" cannot {verb} resource "{kind}" in API group "{group}"'


class _Emulator(kmock.KubernetesEmulator):
    """Gives what is created an identity, as a real API server does."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0  # how many requests it has had
        self.tokens: list[str] = []  # of each request that had one
        self.refused_token = ""
        self.rules: list[Document] | None = None  # of a Role, beyond which nothing is permitted

    async def _handle(self, request: Any) -> Any:
        self.asked += 1
        token = request.headers.get("Authorization", "")
        self.tokens += [token] if token else []
        if token and token == self.refused_token:
            return aiohttp.web.json_response(_failure(401, "Unauthorized"), status=401)
        if self.rules is not None and (refusal := _forbidden(request, self.rules)):
            return aiohttp.web.json_response(_failure(403, refusal), status=403)
        if request.resource is not None and request.action == kmock.action.CREATE:
            request.data["metadata"]["uid"] = pods.uid(request.data["metadata"]["name"])
        return await super()._handle(request)


class MockCluster:
    """One namespace of a cluster that exists for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True)
        self.api = _Emulator()
        self._server = kmock.Server(self.api)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find this cluster, and kubectl."""
        configuration = self._folder / "kubeconfig"
        configuration.write_text(yaml.safe_dump(self._configuration()))
        program = self._folder / "bin/kubectl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(_KUBECTL.format(folder=self._folder / "pods"))
        program.chmod(0o755)
        return {"KUBECONFIG": str(configuration), "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def put(self, kind: str, document: Document) -> None:
        """Create or replace an object."""
        self._run(self._put(kind, document))

    def remove(self, kind: str, name: str) -> None:
        """Take an object away."""
        self._run(self._remove(kind, name))

    def find_all(self, kind: str) -> list[Document]:
        """The objects of a kind."""
        found: list[Document] = self._run(self._find_all(kind))
        return found

    def refuse(self, request: str, code: int, message: str) -> None:
        """Answer a request, ``"post /path"``, with an error of the API."""
        self._run(self._answer(request, code, _failure(code, message)))

    def log(self, pod: str, text: str) -> None:
        """Set the log of a pod."""
        is_known = pod in self._logs
        self._logs[pod] = text
        if is_known:  # the first answer to a request stays
            return

        def answer(request: Any) -> bytes:
            lines = self._logs[pod].splitlines(keepends=True)
            if request.params.get("timestamps") == "true":
                lines = [f"2026-01-01T00:00:00.{number:03d}Z {line}" for number, line in enumerate(lines, 1)]
            return "".join(lines).encode()

        self._run(self._respond(f"get /api/v1/namespaces/{NAMESPACE}/pods/{pod}/log", answer))

    def announce(self, pod: str, address: str) -> None:
        """Let kubectl forward to a pod."""
        folder = self._folder / "pods"
        folder.mkdir(exist_ok=True)
        (folder / pod).write_text(address)

    def refuse_forward(self, pod: str, *refusals: str) -> None:
        """Let the next calls of kubectl for a pod fail, each with one of the sentences; ``hang`` says nothing."""
        folder = self._folder / "pods"
        folder.mkdir(exist_ok=True)
        (folder / f"{pod}.refusals").write_text("".join(f"{refusal}\n" for refusal in refusals))

    @contextmanager
    def away(self) -> Iterator[None]:
        """An API server that is not there for the time of a block, and comes back at the same address."""
        port = self._server.port
        self._run(self._server.__aexit__(None, None, None))
        try:
            yield
        finally:
            self._server = kmock.Server(self.api, port=port)
            self._run(self._server.__aenter__())

    def _configuration(self) -> Document:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": str(self._server.url)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
        }

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _open(self) -> None:
        await self.api.__aenter__()
        await self._server.__aenter__()
        for path in RESOURCES.values():
            if "kueue" not in path:
                self.api.resources[kmock.resource(path)] = kmock.ResourceInfo()
        self.api[f"get /api/v1/namespaces/{NAMESPACE}"] << 200 << {"metadata": {"name": NAMESPACE}}

    async def _close(self) -> None:
        await self._server.__aexit__(None, None, None)
        await self.api.__aexit__(None, None, None)

    async def _put(self, kind: str, document: Document) -> None:
        self.api.objects[kmock.resource(RESOURCES[kind]), NAMESPACE, document["metadata"]["name"]] = document

    async def _remove(self, kind: str, name: str) -> None:
        self.api.objects[kmock.resource(RESOURCES[kind]), NAMESPACE, name].delete()

    async def _find_all(self, kind: str) -> list[Document]:
        wanted = kmock.resource(RESOURCES[kind])
        return [
            dict(each.raw)
            for (resource, _, _), each in self.api.objects.items()
            if resource == wanted and not each.deleted
        ]

    async def _respond(self, request: str, answer: Callable[[Any], bytes]) -> None:
        self.api[request] << answer

    async def _answer(self, request: str, code: int, body: Document | bytes) -> None:
        self.api[request] << code << body
