# SPDX-License-Identifier: Apache-2.0
"""The few things that are asked of a cluster; each failure is one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx2
from lightkube import Client, KubeConfig
from lightkube.codecs import from_dict
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, PersistentVolumeClaim, Pod

from client.cluster.plan import NAME, NAME_LABEL, Document
from client.errors import ClientError, Exit

KINDS: dict[str, Any] = {"Job": Job, "Pod": Pod, "Event": Event, "PersistentVolumeClaim": PersistentVolumeClaim}
OURS = {NAME_LABEL: NAME}
JOB_LABEL = "batch.kubernetes.io/job-name"
TIMEOUT_SECONDS = 30.0
_QUEUE_VERSIONS = ("v1beta2", "v1beta1")


class Cluster:
    """One namespace of one cluster.

    Attributes:
        namespace: where everything happens.
    """

    def __init__(self, *, context: str | None, namespace: str | None) -> None:
        """Read the configuration that kubectl would use; nothing is asked yet.

        Raises:
            ClientError: there is none, or it has no such context.
        """
        try:
            config = KubeConfig.from_env().get(context)
            if config is None:
                raise ConfigError("no context is chosen")
            self._client = Client(config=config, namespace=namespace, timeout=httpx2.Timeout(TIMEOUT_SECONDS))
        except ConfigError as error:
            sentence = f"There is no cluster to talk to: {str(error).rstrip('.')}; see `kubectl config get-contexts`."
            raise ClientError(sentence, Exit.UNAVAILABLE) from error
        self.namespace: str = namespace or config.namespace
        self._server = config.cluster.server

    def create(self, document: Document) -> None:
        """Create what does not exist yet.

        Raises:
            ClientError: it exists, or the cluster refuses.
        """
        with self._sentences(document["kind"], document["metadata"]["name"]):
            self._client.create(_typed(document), namespace=self.namespace)

    def ensure(self, document: Document) -> bool:
        """Create what does not exist yet and leave alone what does; returns whether it was created.

        Raises:
            ClientError: the cluster refuses.
        """
        with self._sentences(document["kind"], document["metadata"]["name"]):
            try:
                self._client.create(_typed(document), namespace=self.namespace)
            except httpx2.HTTPStatusError as error:
                if error.response.status_code != 409:
                    raise
                return False
        return True

    def find(self, kind: str, name: str) -> Document | None:
        """One object, None if there is none.

        Raises:
            ClientError: the cluster refuses.
        """
        with self._sentences(kind, name):
            try:
                return cast(Document, self._client.get(KINDS[kind], name, namespace=self.namespace).to_dict())
            except httpx2.HTTPStatusError as error:
                if error.response.status_code != 404:
                    raise
                return None

    def find_all(self, kind: str, **labels: str) -> list[Document]:
        """The objects of a kind that carry all labels; events carry none and are all returned.

        Raises:
            ClientError: the cluster refuses.
        """
        with self._sentences(kind, ""):
            selector: dict[str, Any] | None = {**labels} or None
            found = self._client.list(KINDS[kind], namespace=self.namespace, labels=selector)
            documents = [cast(Document, item.to_dict()) for item in found]
        return [each for each in documents if labels.items() <= (each["metadata"].get("labels") or {}).items()]

    def job(self, name: str) -> Document:
        """The Job of a name.

        Raises:
            ClientError: there is none, or the cluster refuses.
        """
        found = self.find("Job", name)
        if found is None:
            sentence = f"Namespace {self.namespace} has no job {name}; `nas-client jobs list` shows all."
            raise ClientError(sentence, Exit.NOT_FOUND)
        return found

    def pods(self, job: str) -> list[Document]:
        """The pods that a Job has made and that are still there.

        Raises:
            ClientError: the cluster refuses.
        """
        return self.find_all("Pod", **{JOB_LABEL: job})

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what belongs to it.

        Raises:
            ClientError: there is none, or the cluster refuses.
        """
        from lightkube.types import CascadeType

        with self._sentences(kind, name):
            self._client.delete(KINDS[kind], name, namespace=self.namespace, cascade=CascadeType.BACKGROUND)

    def log(self, pod: str, *, lines: int | None = None, is_followed: bool = False) -> Iterator[str]:
        """The lines that a pod has written, and with ``is_followed`` those that it will write.

        Raises:
            ClientError: it has no log yet, or the cluster refuses.
        """
        with self._sentences("Pod", pod):
            yield from self._client.log(
                pod, namespace=self.namespace, tail_lines=lines, follow=is_followed, newlines=False
            )

    def queues(self) -> list[str] | None:
        """Names of Kueue's queues in the namespace, None if the cluster has no Kueue.

        Raises:
            ClientError: the cluster refuses.
        """
        for version in _QUEUE_VERSIONS:
            queue = create_namespaced_resource("kueue.x-k8s.io", version, "LocalQueue", "localqueues")
            with self._sentences("LocalQueue", ""):
                try:
                    found = self._client.list(queue, namespace=self.namespace)
                    return [str(item["metadata"]["name"]) for item in found]
                except httpx2.HTTPStatusError as error:
                    if error.response.status_code != 404:
                        raise
        return None

    @contextmanager
    def _sentences(self, kind: str, name: str) -> Iterator[None]:
        """Turn what the library raises into a sentence and an exit status."""
        thing = f"{kind} {name}".strip()
        try:
            yield
        except httpx2.HTTPStatusError as error:
            raise _refusal(error, thing, self.namespace) from error
        except httpx2.HTTPError as error:
            sentence = (
                f"The cluster at {self._server} does not answer: {str(error).rstrip('.') or type(error).__name__}."
            )
            raise ClientError(sentence, Exit.UNAVAILABLE) from error


def _typed(document: Document) -> Any:
    """The library's object of a document; its type is known only when it runs."""
    return from_dict(document)


def _refusal(error: httpx2.HTTPStatusError, thing: str, namespace: str) -> ClientError:
    """What an answer of the API server means; its own words stand at the end."""
    code = error.response.status_code
    try:
        said = error.response.json()["message"]
    except (ValueError, TypeError, KeyError):  # whoever answered is no API server
        said = error.response.reason_phrase
    message = str(said).rstrip(".")
    if code == 403 and "exceeded quota" in message:
        sentence = f"The quota of namespace {namespace} has no room for {thing}; ask for less, or delete what is done"
        return ClientError(f"{sentence} (`nas-client jobs list`): {message}.", Exit.UNAVAILABLE)
    if code in (401, 403):
        sentence = f"The cluster does not permit {thing} in namespace {namespace}; ask its administrator"
        return ClientError(f"{sentence}: {message}.", Exit.NOT_PERMITTED)
    if code == 404:
        return ClientError(f"Namespace {namespace} has no {thing}: {message}.", Exit.NOT_FOUND)
    if code == 409:
        sentence = f"{thing} exists already in namespace {namespace}; choose another --name, or look at it with"
        return ClientError(f"{sentence} `nas-client jobs attach`.", Exit.USAGE)
    if code in (400, 422):
        return ClientError(f"The cluster does not take {thing}: {message}.", Exit.USAGE)
    return ClientError(f"The cluster answered {code} about {thing}: {message}.", Exit.UNAVAILABLE)
