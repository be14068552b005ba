# SPDX-License-Identifier: Apache-2.0
"""The few things that are asked of a cluster; each failure is one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import httpx2
from lightkube.codecs import from_dict
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Namespace, PersistentVolumeClaim, Pod, ServiceAccount
from lightkube.resources.networking_v1 import NetworkPolicy

from client.cluster.connecting import connect_to
from client.cluster.kubeconfig import choose
from client.cluster.plan import NAME, NAME_LABEL, Document
from client.cluster.refusals import UnreachableError, explain, missing_namespace
from client.errors import ClientError, Exit

KINDS: dict[str, Any] = {
    "Job": Job,
    "Pod": Pod,
    "Event": Event,
    "PersistentVolumeClaim": PersistentVolumeClaim,
    "ServiceAccount": ServiceAccount,
    "NetworkPolicy": NetworkPolicy,
}
OURS = {NAME_LABEL: NAME}
JOB_LABEL = "batch.kubernetes.io/job-name"
_KUEUE, _KUEUE_VERSIONS = "kueue.x-k8s.io", ("v1beta2", "v1beta1")

Answer = TypeVar("Answer")


class Cluster:
    """One namespace of one cluster.

    Attributes:
        namespace: where everything happens.
        has_answered: whether the cluster is there, so that one that does not answer is worth waiting for.
    """

    def __init__(self, *, context: str | None, namespace: str | None) -> None:
        """Read the configuration that kubectl would use; nothing is asked yet.

        Raises:
            ClientError: there is none, or it cannot be used.
        """
        choice = choose(context)
        self._client = connect_to(choice)
        self.namespace: str = namespace or choice.namespace
        self.has_answered = False
        self._server = choice.cluster["server"]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(self, document: Document) -> None:
        """Create what does not exist yet.

        Raises:
            ClientError: it exists, or the cluster refuses.
        """
        with self._sentences(document["kind"], document["metadata"]["name"]):
            self._client.create(_typed(document), namespace=self.namespace)

    def ensure(self, document: Document) -> bool:
        """Create what does not exist yet and leave alone what does; returns whether it was created.

        Looks first: what an administrator has made need not be something that the user may make.

        Raises:
            ClientError: the cluster refuses.
        """
        kind, name = document["kind"], document["metadata"]["name"]
        if self._unless_forbidden(lambda: self.find(kind, name)) is not None:
            return False
        with self._sentences(kind, name):
            return (
                self._unless(409, lambda: self._client.create(_typed(document), namespace=self.namespace)) is not None
            )

    def find(self, kind: str, name: str) -> Document | None:
        """One object, None if there is none.

        Raises:
            ClientError: the cluster refuses.
        """
        with self._sentences(kind, name):
            found = self._unless(404, lambda: self._client.get(KINDS[kind], name, namespace=self.namespace))
            return None if found is None else cast(Document, found.to_dict())

    def find_all(self, kind: str, **labels: str) -> list[Document]:
        """The objects of a kind that carry all labels.

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
            self.require_namespace()
            sentence = f"Namespace {self.namespace} has no job {name}; `nas-client jobs list` shows all."
            raise ClientError(sentence, Exit.NOT_FOUND)
        return found

    def pods(self, job: Document) -> list[Document]:
        """The pods that a Job has made and that are still there; not those of an earlier Job of the same name.

        Raises:
            ClientError: the cluster refuses.
        """
        return [pod for pod in self.find_all("Pod", **{JOB_LABEL: job["metadata"]["name"]}) if is_owned(pod, job)]

    def events(self, name: str = "") -> list[Document]:
        """The events about objects of a name, or about all; none if the user may not list them.

        Raises:
            ClientError: the cluster refuses for another reason.
        """

        def ask() -> list[Document]:
            with self._sentences("Event", ""):
                fields: dict[str, Any] | None = {"involvedObject.name": name} if name else None
                return [item.to_dict() for item in self._client.list(Event, namespace=self.namespace, fields=fields)]

        return self._unless_forbidden(ask) or []

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what belongs to it.

        Raises:
            ClientError: there is none, or the cluster refuses.
        """
        from lightkube.types import CascadeType

        with self._sentences(kind, name):
            self._client.delete(KINDS[kind], name, namespace=self.namespace, cascade=CascadeType.BACKGROUND)

    def log(
        self, pod: str, *, lines: int | None = None, is_followed: bool = False, has_times: bool = False
    ) -> Iterator[str]:
        """The lines that a pod has written, and with ``is_followed`` those that it will write.

        Args:
            pod: its name.
            lines: how many of the last ones; None for all.
            is_followed: whether to wait for more until its container ends.
            has_times: whether each line begins with when it was written, a space after it.

        Raises:
            LogMissingError: its container has not started.
            UnreachableError: the connection broke.
            ClientError: the cluster refuses.
        """
        with self._sentences("Pod", pod):
            yield from self._client.log(
                pod,
                namespace=self.namespace,
                tail_lines=lines,
                follow=is_followed,
                timestamps=has_times,
                newlines=False,
            )

    def queues(self) -> list[str] | None:
        """Names of Kueue's queues in the namespace, None if the cluster has no Kueue.

        Raises:
            ClientError: the cluster refuses.
        """
        found = self._kueue("LocalQueue", "localqueues")
        return None if found is None else [str(item["metadata"]["name"]) for item in found]

    def workloads(self) -> list[Document]:
        """What Kueue says about the Jobs of the namespace; nothing if there is no Kueue or the user may not look.

        Raises:
            ClientError: the cluster does not answer.
        """
        return self._unless_forbidden(lambda: self._kueue("Workload", "workloads")) or []

    def require_namespace(self) -> None:
        """Make sure that the namespace exists, as far as the user may know; what it lacks is nothing to name then.

        Raises:
            ClientError: it does not exist, or the cluster does not answer.
        """

        def ask() -> bool:
            with self._sentences("Namespace", self.namespace):
                return self._unless(404, lambda: self._client.get(Namespace, self.namespace)) is not None

        if self._unless_forbidden(ask) is False:
            raise missing_namespace(self.namespace)

    def _kueue(self, kind: str, plural: str) -> list[Document] | None:
        """The objects of one of Kueue's kinds, None if the cluster does not have it."""
        for version in _KUEUE_VERSIONS:
            resource = create_namespaced_resource(_KUEUE, version, kind, plural)
            with self._sentences(kind, ""):
                found = self._unless(404, lambda: list(self._client.list(resource, namespace=self.namespace)))  # noqa: B023
            if found is not None:
                return [cast(Document, dict(item)) for item in found]
        return None

    def _unless(self, code: int, question: Callable[[], Answer]) -> Answer | None:
        """The answer, None if it is this error of the API."""
        try:
            return question()
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != code:
                raise
            return None

    def _unless_forbidden(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer, None if the user may not have it."""
        try:
            return question()
        except ClientError as error:
            if not isinstance(error.__cause__, httpx2.HTTPStatusError) or error.__cause__.response.status_code != 403:
                raise
            return None

    @contextmanager
    def _sentences(self, kind: str, name: str) -> Iterator[None]:
        """Turn what the library raises into a sentence and an exit status."""
        try:
            yield
            self.has_answered = True
        except httpx2.HTTPStatusError as error:
            self.has_answered = True
            raise explain(error, kind=kind, name=name, namespace=self.namespace) from error
        except httpx2.HTTPError as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise UnreachableError(f"The cluster at {self._server} does not answer: {why}.") from error


def is_owned(thing: Document, owner: Document) -> bool:
    """Whether an object belongs to another one, and not to an earlier one of the same name."""
    uids = [reference.get("uid") for reference in thing["metadata"].get("ownerReferences") or ()]
    return owner["metadata"].get("uid") in uids


def _typed(document: Document) -> Any:
    """The library's object of a document; its type is known only when it runs."""
    return from_dict(document)
