# SPDX-License-Identifier: Apache-2.0
"""What an answer of the API server means, as a sentence that says what to do and an exit status."""

from __future__ import annotations

import httpx2

from client.errors import ClientError, Exit


class UnreachableError(ClientError):
    """The cluster does not answer, or says that it cannot now; it may do so in a minute."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.UNAVAILABLE)


class LogMissingError(ClientError):
    """A container has not written anything yet."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.NOT_FOUND)


def explain(error: httpx2.HTTPStatusError, *, kind: str, name: str, namespace: str) -> ClientError:
    """Translate an answer of the API server; its own words stand at the end of the sentence.

    Args:
        error: the answer.
        kind: of the object that was asked for, for example ``Job``.
        name: of the object; empty for all of its kind.
        namespace: where it was asked for.
    """
    code, message = error.response.status_code, _message(error.response)
    thing = f"{kind} {name}".strip()
    if code == 401:
        sentence = "The cluster does not accept your login: it has expired, or belongs to another cluster; log in again"
        return ClientError(f"{sentence} as you do for kubectl: {message}.", Exit.NOT_PERMITTED)
    if code == 403:
        return _forbidden(message, thing, namespace)
    if code == 404 and "namespaces " in message:
        return missing_namespace(namespace)
    if code == 404:
        return ClientError(f"Namespace {namespace} has no {thing}: {message}.", Exit.NOT_FOUND)
    if code == 409 and "is being deleted" in message:
        return ClientError(f"{thing} of namespace {namespace} is still being deleted; try again.", Exit.UNAVAILABLE)
    if code == 409:
        sentence = f"{thing} exists already in namespace {namespace}; choose another --name, or look at it with"
        return ClientError(f"{sentence} `nas-client jobs attach`.", Exit.USAGE)
    if code == 400 and "waiting to start" in message:
        return LogMissingError(f"{thing} has no log yet: {message}; `nas-client jobs list` says why.")
    if code in (400, 422):
        return ClientError(f"The cluster does not take {thing}: {message}.", Exit.USAGE)
    return UnreachableError(f"The cluster answered {code} about {thing}: {message}.")


def missing_namespace(namespace: str) -> ClientError:
    """The error of a namespace that is not there."""
    sentence = f"The cluster has no namespace {namespace}; create it (`kubectl create namespace {namespace}`), or name"
    return ClientError(f"{sentence} another with --namespace.", Exit.NOT_FOUND)


def _forbidden(message: str, thing: str, namespace: str) -> ClientError:
    if "exceeded quota" in message:
        size = " (--state-size)" if "storage" in message else ""
        sentence = f"The quota of namespace {namespace} has no room for {thing}; ask for less{size}, or delete what is"
        return ClientError(f"{sentence} done (`nas-client jobs list`): {message}.", Exit.UNAVAILABLE)
    if "usage per PersistentVolumeClaim" in message:
        sentence = f"Namespace {namespace} does not permit a claim of that size; choose another --state-size"
        return ClientError(f"{sentence}: {message}.", Exit.USAGE)
    if "is being terminated" in message:
        return ClientError(
            f"Namespace {namespace} is being deleted; name another with --namespace: {message}.", Exit.UNAVAILABLE
        )
    sentence = f"The cluster does not permit {thing} in namespace {namespace}; ask its administrator"
    return ClientError(f"{sentence}: {message}.", Exit.NOT_PERMITTED)


def _message(response: httpx2.Response) -> str:
    try:
        said = response.json()["message"]
    except (ValueError, TypeError, KeyError, httpx2.StreamError):  # whoever answered is no API server
        said = response.reason_phrase
    return str(said).rstrip(".")
