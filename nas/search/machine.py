# SPDX-License-Identifier: Apache-2.0
"""The rules of a search: which events follow from a command, and which work follows from a state.

Vocabulary
    A *command* asks for something or reports something. It may be refused or ignored (``commands.py``).
    An *event* is something that has happened. It is written to the journal and never changed (``events.py``).
    The *state*, a ``Search``, is what all events of a search add up to (``state.py``). It is never written down.
    *Work* is an attempt that should be running now. It follows from the state and is never remembered beside it.
    An *attempt* is one run of a worker for one child: a training, or the test evaluation of the winner.

Three pure functions, without clock, random numbers or IO
    decide(search, command, draw)  returns events, or refuses by raising RejectedError
    evolve(search, event)          returns the search after the event
    pending_work(search)           returns the attempts that should be running

The order of effects, in ``server/engine``
    1. append     the events go to the journal; what dies before this has not happened
    2. evolve     the state moves to where the events lead
    3. publish    watchers, logs and metrics hear of them; they cannot fail the search
    4. reconcile  pending work is compared with the running workers: some are launched, others cancelled
    The journal comes first, because nothing that anybody has seen may be lost. Work comes last, because a worker must
    not start before the journal knows its attempt.

Recovery
    A restarted server replays the journal with ``evolve``, reports each attempt that was running as lost, and
    reconciles. A live server evolves and reconciles by the same code, so recovery has no code of its own to be wrong.

Why ``decide`` may refuse and ``evolve`` may not
    A refused command changes nothing. A refused event would make the journal unreadable, and what it says has happened.
    So all checks are made in ``decide``. ``evolve`` raises only for what no version of this program can have written.

Attempts and fencing
    ``AttemptLaunched`` is journaled before the worker starts and gives the attempt its number. A report names child and
    number. It counts only while that attempt is running; any other is stale or repeated and changes nothing. So a
    worker that was given up can never interfere with its successor.

Who chooses and who records
    A strategy (``strategies/``) chooses what to propose, what to select and when to stop. The driver (``progress.py``)
    asks it, draws the arguments of operations, and records. Draws depend on seed, child and index alone and are stored
    in the event, so replay neither draws nor asks.

Finishing (``finishing.py``)
    When a strategy stops, the driver may have the best and the smallest net trained once more, with more epochs, as
    children of one more iteration. Strategies, selections and caps do not know of them. One that fails costs nothing:
    the winner is the best child of the whole search, finished or not, by the rule that ranks all children. The time
    budget is for everything: the search stops early enough for finishing, which itself is never cut short.

What a digest covers (``digest.py``)
    Settings, children with the results of their epochs, selections, the reason to stop, the winner's weights: all that
    must be equal however often a search was interrupted. Times, speeds, attempts and lost attempts are left out.

States; the exact tables are in ``transitions.py``, and ``docs/state-machine.md`` is generated from them

    search:  RUNNING --> SUCCEEDED or FAILED        RUNNING <--> PAUSING --> PAUSED --> RUNNING
             RUNNING, PAUSING or PAUSED --> CANCELLING --> CANCELLED        each of the three ends --> DELETED

    child:   PROPOSED --> RUNNING --> SUCCEEDED or FAILED        RUNNING --> PROPOSED: the attempt was lost
             PROPOSED --> CANCELLED or FAILED

    finishing, if it was asked for:  a search that has stopped --> its children, like all others --> test evaluation DUE

    winner's test evaluation:  DUE --> RUNNING --> DONE        RUNNING --> DUE: the attempt was lost
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from nas.child import ChildId
from nas.search import commands, events
from nas.search.control import RejectedError, control
from nas.search.progress import Draw, History, advance
from nas.search.reasons import AttemptKind
from nas.search.reports import take_report
from nas.search.state import Child, ChildState, EvaluationState, Search, SearchState


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An attempt that should be running.

    Attributes:
        attempt: its number, None if it has yet to be launched.
    """

    child_id: ChildId
    kind: AttemptKind
    attempt: int | None


def decide(search: Search | None, command: commands.Command, draw: Draw) -> tuple[events.Event, ...]:
    """Return the facts that follow from ``command``; none for a stale or repeated report.

    Args:
        search: the state, None before the search exists.
        command: what is asked or reported.
        draw: ``draw(child_id, index, below)`` gives an integer in ``range(below)``, the same for the same arguments.

    Raises:
        RejectedError: the state does not allow the command.
    """
    if search is None:
        if not isinstance(command, commands.StartSearch):
            raise RejectedError("there is no such search")
        history = History(None)
        history.record(_started(command))
    else:
        history = History(search)
        _apply(history, search, command)
        if not history.events:
            return ()
    advance(history, draw)
    return tuple(history.events)


def pending_work(search: Search) -> tuple[Work, ...]:
    """Return what should be running now, in the order in which it should be launched."""
    if search.state is not SearchState.RUNNING or search.is_running_out:
        return ()
    if search.evaluation is not None:
        return _evaluation_work(search)
    return tuple(_training(child) for child in search.unfinished)


def running_attempts(search: Search) -> tuple[Work, ...]:
    """Return the attempts that were launched and of which no outcome is known."""
    if search.state.is_terminal:
        return ()
    training = tuple(_training(child) for child in search.children.values() if child.state is ChildState.RUNNING)
    evaluation = (
        _evaluation_work(search) if search.evaluation and search.evaluation.state is EvaluationState.RUNNING else ()
    )
    return training + evaluation


def _training(child: Child) -> Work:
    attempt = child.attempts if child.state is ChildState.RUNNING else None
    return Work(child_id=child.child_id, kind=AttemptKind.TRAINING, attempt=attempt)


def _evaluation_work(search: Search) -> tuple[Work, ...]:
    evaluation = search.evaluation
    if evaluation is None or evaluation.state is EvaluationState.DONE:
        return ()
    attempt = search.children[evaluation.child_id].attempts if evaluation.state is EvaluationState.RUNNING else None
    return (Work(child_id=evaluation.child_id, kind=AttemptKind.TEST_EVALUATION, attempt=attempt),)


def _started(command: commands.StartSearch) -> events.SearchStarted:
    return events.SearchStarted(
        config=command.config,
        request_id=command.request_id,
        dataset=command.dataset,
        resources=command.resources,
        warnings=command.warnings,
        principal=command.principal,
        software=command.software,
    )


def _apply(history: History, search: Search, command: commands.Command) -> None:
    match command:
        case commands.StartSearch():
            raise RejectedError("the search has been started already")
        case commands.CancelSearch() | commands.PauseSearch() | commands.ResumeSearch() | commands.DeleteSearch():
            control(history, search, command)
        case commands.LaunchAttempt():
            _launch(history, search, command.child_id)
        case commands.ReachTimeBudget():
            if search.state is SearchState.RUNNING and search.stop is None and not search.is_out_of_time:
                history.record(events.TimeBudgetReached())
        case (
            commands.ReportStarted()
            | commands.ReportEpoch()
            | commands.ReportTrained()
            | commands.ReportEvaluated()
            | commands.ReportFailed()
            | commands.ReportLost()
        ):
            running = {(work.child_id, work.attempt): work for work in running_attempts(search)}
            work = running.get((command.child_id, command.attempt))
            if work is not None:  # else the attempt has ended, so its report is stale or repeated
                take_report(history, search, work.kind, command)
        case _:
            assert_never(command)


def _launch(history: History, search: Search, child_id: ChildId) -> None:
    for work in pending_work(search):
        if work.child_id == child_id and work.attempt is None:
            attempt = search.children[child_id].attempts + 1
            history.record(events.AttemptLaunched(child_id=child_id, attempt=attempt, kind=work.kind))
