# SPDX-License-Identifier: Apache-2.0
"""Follow a Job to its end, over as many pods as it takes: wait for one that serves, read its events, and again."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from client.cluster.api import Cluster
from client.cluster.diagnosis import is_ready
from client.cluster.endings import Outcome
from client.cluster.forward import Forwarder, ForwardError
from client.cluster.inquiry import POLL_SECONDS, Patience, inquire
from client.cluster.plan import state_claim
from client.cluster.refusals import UnreachableError
from client.commands.watch import finish, make_view
from client.connection import Connection, connect
from client.credentials import Credentials
from client.errors import ClientError, Exit, ServerError
from client.follow import TERMINAL_FACTS, Follower
from client.lines import Lines
from client.output import note
from client.settings import Settings
from nas.api.v1 import search_pb2, search_service_pb2

if TYPE_CHECKING:
    from client.live.screen import LiveView

STREAM_SECONDS = 5.0
"""How long a broken stream is mended before the cluster is asked what became of the pod."""


class Attachment:
    """One Job, and how far its events have been read."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        *,
        settings: Settings,
        forwarder: Forwarder,
        wait_seconds: float,
        reconnect_seconds: float,
        is_plain: bool,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            cluster: holds the Job.
            name: of the Job.
            settings: say how to print.
            forwarder: opens ways into pods.
            wait_seconds: how long to wait for a pod that serves and can be reached, each time there is none.
            reconnect_seconds: how long to ask again, each time that the cluster does not answer.
            is_plain: whether to print lines where a live view could be.
        """
        self._cluster = cluster
        self._name = name
        self._settings = settings
        self._forwarder = forwarder
        self._wait_seconds = wait_seconds
        self._is_plain = is_plain
        self._patience = Patience(cluster, reconnect_seconds, self._say)
        self._unreached_since: float | None = None
        self._said = ""
        self._sequence = 0
        self._view: Lines | LiveView | None = None

    def follow(self) -> Exit:
        """Show events until the search has ended; returns how.

        Raises:
            ClientError: the Job failed, or is not there, or nothing runs within the time to wait.
        """
        with ExitStack() as screen:
            try:
                return self._follow(screen)
            except KeyboardInterrupt:
                screen.close()
                note(f"Left job {self._name} running; come back with: {self._way_back()}")
                return Exit.INTERRUPTED
            except UnreachableError as error:
                screen.close()
                raise ClientError(f"{error} {self._what_now()}", error.exit_status) from error

    def _follow(self, screen: ExitStack) -> Exit:
        while True:
            found = self._wait_for_pod()
            if isinstance(found, Outcome):
                screen.close()
                return self._report(found)
            try:
                with self._forwarder.open(found) as address, connect(self._reached(address)) as connection:
                    search_id = self._wait_for_search(connection)
                    self._unreached_since = None
                    state = self._read(connection, search_id, self._show(screen, search_id))
                    screen.close()
                    return finish(connection, self._reached(address), search_id, state)
            except ForwardError as error:
                self._miss(error)
            except ServerError as error:
                if error.exit_status != Exit.UNAVAILABLE:
                    raise
                self._say(f"Pod {found} does not answer any more; waiting for what the cluster does about it.")
            time.sleep(POLL_SECONDS)

    def _miss(self, error: ForwardError) -> None:
        """Take note that a pod that serves cannot be reached: its node, or the way there, may have to come back."""
        now = time.monotonic()
        self._unreached_since = self._unreached_since or now
        if now - self._unreached_since > self._wait_seconds:
            raise ClientError(f"{error} {self._what_now()}", Exit.UNAVAILABLE) from error
        self._say(f"{error} Waiting for what the cluster does about it.")

    def _show(self, screen: ExitStack, search_id: str) -> Lines | LiveView:
        """Return the view, which is the same over all pods."""
        if self._view is None:
            self._view = make_view(self._settings.output, search_id, is_plain=self._is_plain)
            screen.push(self._view)
            self._view.__enter__()
        return self._view

    def _read(
        self, connection: Connection, search_id: str, view: Lines | LiveView
    ) -> search_pb2.Search.State.ValueType | None:
        """Show the events that have not been shown; returns the state that the last one leads to."""
        follower = Follower(
            connection,
            search_id,
            after=self._sequence,
            reconnect_seconds=STREAM_SECONDS,
            is_known=True,
            listener=view,
        )
        state = None
        for event in follower.events():
            view.on_event(event)
            self._sequence = event.sequence
            state = TERMINAL_FACTS.get(event.WhichOneof("fact") or "")
        return state

    def _wait_for_pod(self) -> str | Outcome:
        """Return the pod that serves, or how the Job has ended."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            asked = time.monotonic()
            found = self._patience.ask(lambda: inquire(self._cluster, self._name))
            deadline += time.monotonic() - asked  # a cluster that is away has a limit of its own
            if found.outcome is not None:
                return found.outcome
            if found.pod is not None and is_ready(found.pod):
                return str(found.pod["metadata"]["name"])
            hindrance = found.obstacle
            if hindrance is not None:
                self._say(hindrance.sentence)
                if hindrance.is_final:
                    raise ClientError(f"{hindrance.sentence} {self._what_now()}", Exit.UNAVAILABLE)
            if time.monotonic() > deadline:
                why = hindrance.sentence if hindrance else f"Job {self._name} has no pod that serves."
                raise ClientError(f"{why} {self._what_now()}", Exit.UNAVAILABLE)
            time.sleep(POLL_SECONDS)

    def _wait_for_search(self, connection: Connection) -> str:
        """Return the id of the search, which is there as soon as its data are."""
        while True:
            request = search_service_pb2.ListSearchesRequest(page_size=1)
            searches = connection.call(connection.stub.ListSearches, request).searches
            if searches:
                return str(searches[0].search_id)
            self._say(f"Job {self._name} prepares its data.")
            time.sleep(POLL_SECONDS)

    def _report(self, ended: Outcome) -> Exit:
        """Say how a Job ended that nobody can ask any more."""
        if ended.is_success:
            note(f"Job {self._name} has succeeded; its results lie on claim {state_claim(self._name)}.")
            return Exit.OK
        words = self._last_words(ended.pod) if ended.pod else ""
        raise ClientError(" ".join(filter(None, (ended.sentence, words))), Exit.SEARCH_FAILED)

    def _last_words(self, pod: str) -> str:
        """The sentence that the server ended with, "" if its log is gone."""
        try:
            lines = list(self._cluster.log(pod, lines=50))
        except ClientError:
            return ""
        said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        return f"The server said: {said[-1]}" if said else ""

    def _reached(self, address: str) -> Settings:
        return replace(self._settings, server=address, state_dir=None, credentials=Credentials())  # as the pod has it

    def _say(self, text: str) -> None:
        """Say something once, however often it is found."""
        if text != self._said:
            (self._view.on_lost if self._view else note)(text)
        self._said = text

    def _what_now(self) -> str:
        end = f"nas-client jobs delete {self._name} --namespace {self._cluster.namespace}"
        return f"The job stays; look again with `{self._way_back()}`, or end it with `{end}`."

    def _way_back(self) -> str:
        return f"nas-client jobs attach {self._name} --namespace {self._cluster.namespace}"
