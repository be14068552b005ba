# SPDX-License-Identifier: Apache-2.0
"""What each call of the API answers, and every error that its comment promises, through a real server and a stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attempts import DATASET
from control_plane import FOREVER, ControlPlane, request_id
from memory_journal import MemoryJournal
from served import Served, refused, serving, start_request

from nas.api.v1 import search_pb2, search_service_pb2
from nas.api.v1 import search_service_pb2 as pb
from nas.catalogue import CATALOGUE
from nas.search.digest import digest
from server.executor.fake import FakeExecutor
from server.journal.base import JournalFailedError, JournalFullError, Record
from server.rpc.servicer import SERVICE

UNKNOWN = "0123456789ab"
State = search_pb2.Search.State


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose searches run to their end at once."""
    async with serving(ControlPlane(folder=tmp_path)) as served:
        yield served


@pytest.fixture
async def stuck(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose searches never get on by themselves."""
    executor = FakeExecutor(slots=2, epoch_seconds=FOREVER)
    async with serving(ControlPlane(folder=tmp_path, executor=executor)) as served:
        yield served


async def test_a_search_is_started_shown_and_listed(served: Served) -> None:
    """From the first answer to the result, whose digest is the one that its events give."""
    started = (await served.stub.StartSearch(start_request())).search

    await served.watch(started.search_id)
    shown = (await served.stub.GetSearch(pb.GetSearchRequest(search_id=started.search_id))).search
    listed = (await served.stub.ListSearches(pb.ListSearchesRequest())).searches

    search = served.plane.registry.view(started.search_id).search
    assert State.STATE_RUNNING == started.state
    assert State.STATE_SUCCEEDED == shown.state
    assert (digest(search), 12, 12, 0) == (shown.digest, shown.child_count, shown.succeeded_count, shown.failed_count)
    assert search_pb2.STOP_REASON_MAX_ITERATIONS == shown.stop_reason
    assert sum(DATASET.counts.test) == sum(shown.test_evaluation.total_counts)
    assert request_id(1) == shown.request_id
    assert shown.end_time == shown.update_time
    assert [("", shown.search_id)] == [(one.digest, one.search_id) for one in listed]


async def test_a_plan_shows_the_first_children_and_starts_nothing(served: Served) -> None:
    """With layers and needs of each; nobody finds a search afterwards, and no request id is needed."""
    request = start_request()
    request.validate_only = True
    request.ClearField("request_id")

    plan = (await served.stub.StartSearch(request)).plan

    assert ["0-1", "1-1", "1-2", "1-3", "1-4"] == [planned.child.child_id for planned in plan.children]
    assert all(planned.child.architecture.layers and planned.memory_bytes > 0 for planned in plan.children)
    assert plan.disk_bytes > 0
    assert (2, 1) == (plan.config.max_iterations, plan.config.training.max_epochs)
    assert [] == list((await served.stub.ListSearches(pb.ListSearchesRequest())).searches)
    assert () == await served.plane.journal.heads()


async def test_the_same_request_gives_the_same_search(stuck: Served) -> None:
    """One after the other, thirty at once, and with the id written in another form."""
    first = await stuck.start()
    request = start_request()
    request.request_id = request.request_id.upper()

    searches = await asyncio.gather(*(stuck.start() for _ in range(30)), stuck.stub.StartSearch(request))

    assert {first} == {found if isinstance(found, str) else found.search.search_id for found in searches}
    assert 1 == len(await stuck.plane.journal.heads())


async def test_thirty_first_requests_are_one_search(stuck: Served) -> None:
    """Nobody was there before them."""
    searches = await asyncio.gather(*(stuck.start() for _ in range(30)))

    assert 1 == len(set(searches)) == len(await stuck.plane.journal.heads())


async def test_a_request_id_cannot_be_used_again(stuck: Served) -> None:
    """For other settings, that is; the message names both ids."""
    search_id = await stuck.start()

    error = await refused(stuck.start(seed=1))

    assert ("ALREADY_EXISTS", "REQUEST_ID_REUSED") == (error.code, error.reason)
    assert request_id(1) in error.message
    assert search_id in error.message


REFUSED_STARTS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"config": None}, "INVALID_ARGUMENT", "INVALID_CONFIG", "block"),
    ({"block": 0}, "INVALID_ARGUMENT", "INVALID_CONFIG", "block"),
    ({"block": 77}, "INVALID_ARGUMENT", "INVALID_CONFIG", "block"),
    ({"dataset": ""}, "INVALID_ARGUMENT", "INVALID_CONFIG", "dataset"),
    ({"dataset": "nothing"}, "INVALID_ARGUMENT", "UNKNOWN_DATASET", "dataset"),
    ({"dataset": "mnist"}, "FAILED_PRECONDITION", "DATA_MISSING", ""),
    ({"seed": -1}, "INVALID_ARGUMENT", "INVALID_CONFIG", "seed"),
    ({"max_iterations": -1}, "INVALID_ARGUMENT", "INVALID_CONFIG", "max_iterations"),
    ({"max_parameters": 2**63 - 1}, "INVALID_ARGUMENT", "INVALID_CONFIG", "max_parameters"),
    ({"initial": "C(1"}, "INVALID_ARGUMENT", "INVALID_NOTATION", "initial"),
    ({"initial": "C(1,99) F() FC(10)"}, "INVALID_ARGUMENT", "INVALID_ARCHITECTURE", "initial"),
    (
        {"initial": "C(1,1) P(1,1) " + "Concat() " * 196 + "F() FC(10)"},
        "INVALID_ARGUMENT",
        "INVALID_ARCHITECTURE",
        "initial",
    ),
    ({"request_id": ""}, "INVALID_ARGUMENT", "INVALID_REQUEST", ""),
    ({"request_id": "x" * 9999}, "INVALID_ARGUMENT", "INVALID_REQUEST", ""),
]


@pytest.mark.parametrize(("changes", "code", "reason", "field"), REFUSED_STARTS, ids=lambda value: str(value)[:40])
async def test_a_start_that_cannot_be_is_refused(
    served: Served, changes: dict[str, Any], code: str, reason: str, field: str
) -> None:
    """With its code, its reason and its setting; nothing is left of it."""
    request = start_request()
    if "config" in changes:
        request.ClearField("config")
    elif "request_id" in changes:
        request.request_id = changes["request_id"]
    else:
        request.config.MergeFrom(search_pb2.SearchConfig(**changes))
        for name in changes:
            setattr(request.config, name, changes[name])

    error = await refused(served.stub.StartSearch(request))

    assert (code, reason, field) == (error.code, error.reason, error.metadata.get("field", ""))
    assert len(error.message) < 400
    assert str(served.plane.folder) not in error.message
    assert () == await served.plane.journal.heads()


def _needing_search(name: str, search_id: str) -> Any:
    fields = {"search_id": search_id}
    request_type = getattr(search_service_pb2, f"{name}Request")
    if "child_id" in request_type.DESCRIPTOR.fields_by_name:
        fields["child_id"] = "1-1"
    return request_type(**fields)


NEEDING_SEARCH = [method.name for method in SERVICE.methods if "search_id" in method.input_type.fields_by_name]


async def _answer(served: Served, name: str, request: Any) -> Any:
    call = getattr(served.stub, name)(request)
    return await (call.read() if SERVICE.methods_by_name[name].server_streaming else call)


@pytest.mark.parametrize("name", NEEDING_SEARCH)
@pytest.mark.parametrize(
    ("search_id", "code", "reason"),
    [
        ("", "INVALID_ARGUMENT", "INVALID_SEARCH_ID"),
        ("../../etc/passwd", "INVALID_ARGUMENT", "INVALID_SEARCH_ID"),
        ("0123456789AB", "INVALID_ARGUMENT", "INVALID_SEARCH_ID"),
        ("0123456789ab\n", "INVALID_ARGUMENT", "INVALID_SEARCH_ID"),
        (UNKNOWN, "NOT_FOUND", "SEARCH_NOT_FOUND"),
    ],
)
async def test_a_search_that_is_not_there_is_told(
    served: Served, name: str, search_id: str, code: str, reason: str
) -> None:
    """Every method that takes an id says whether it is none or unknown."""
    error = await refused(_answer(served, name, _needing_search(name, search_id)))

    assert (code, reason) == (error.code, error.reason)


async def test_children_are_listed_in_order_and_shown_in_full(served: Served) -> None:
    """Lists leave out layers and epochs, one child has them."""
    search_id = await served.start(max_iterations=2)
    await served.watch(search_id)

    listed = (await served.stub.ListChildren(pb.ListChildrenRequest(search_id=search_id))).children
    child = (await served.stub.GetChild(pb.GetChildRequest(search_id=search_id, child_id="2-7"))).child

    expected = ["0-1", *(f"1-{index}" for index in range(1, 5)), *(f"2-{index}" for index in range(1, 9))]
    assert expected == [one.child_id for one in listed]
    assert not any(one.epochs or one.architecture.layers for one in listed)
    assert [1] == [result.epoch for result in child.epochs]
    assert child.architecture.notation == " ".join(layer.notation for layer in child.architecture.layers)
    assert child.architecture.param_count == sum(layer.param_count for layer in child.architecture.layers)


@pytest.mark.parametrize(
    ("child_id", "code", "reason"),
    [("9-9", "NOT_FOUND", "CHILD_NOT_FOUND"), ("", "INVALID_ARGUMENT", "INVALID_CHILD_ID")]
    + [(text, "INVALID_ARGUMENT", "INVALID_CHILD_ID") for text in ("1", "1-0", "01-1", "1-1 ", "-1-1", "9" * 999)],
)
@pytest.mark.parametrize("name", ["GetChild", "ReadLog"])
async def test_a_child_that_is_not_there_is_told(
    stuck: Served, name: str, child_id: str, code: str, reason: str
) -> None:
    """No child, or no child id."""
    search_id = await stuck.start()
    request = getattr(search_service_pb2, f"{name}Request")(search_id=search_id, child_id=child_id)

    error = await refused(_answer(stuck, name, request))

    assert (code, reason) == (error.code, error.reason)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 1000])
async def test_pages_hold_everything_once(stuck: Served, size: int) -> None:
    """Searches newest first and children by id, whatever the size of a page."""
    started = [await stuck.start(number) for number in range(1, 6)]

    searches = await _pages(stuck.stub.ListSearches, pb.ListSearchesRequest(page_size=size), "searches")
    children = await _pages(
        stuck.stub.ListChildren, pb.ListChildrenRequest(search_id=started[0], page_size=size), "children"
    )

    assert started[::-1] == [search.search_id for page in searches for search in page]
    assert ["0-1", "1-1", "1-2", "1-3", "1-4"] == [child.child_id for page in children for child in page]
    assert -(-5 // size) == len(searches) == len(children)


async def _pages(call: Any, request: Any, name: str) -> list[Any]:
    pages = []
    while True:
        response = await call(request)
        pages.append(list(getattr(response, name)))
        if not response.next_page_token:
            return pages
        request.page_token = response.next_page_token


async def test_a_search_that_begins_meanwhile_disturbs_no_page(stuck: Served) -> None:
    """It is newer than what was shown, so the pages after it are as they were."""
    old = [await stuck.start(number) for number in (1, 2, 3)]
    first = await stuck.stub.ListSearches(pb.ListSearchesRequest(page_size=1))
    await stuck.start(4)

    second = await stuck.stub.ListSearches(pb.ListSearchesRequest(page_size=9, page_token=first.next_page_token))

    assert old[::-1] == [search.search_id for page in (first, second) for search in page.searches]


@pytest.mark.parametrize(
    "page", [{"page_size": -1}, {"page_size": 1001}, {"page_size": 2**31 - 1}, {"page_token": "x"}], ids=str
)
@pytest.mark.parametrize("name", ["ListSearches", "ListChildren"])
async def test_a_page_that_cannot_be_is_refused(stuck: Served, name: str, page: dict[str, Any]) -> None:
    """A size out of range, or a token of somebody else's."""
    search_id = await stuck.start()
    extra = {"search_id": search_id} if name == "ListChildren" else {}

    error = await refused(getattr(stuck.stub, name)(getattr(pb, f"{name}Request")(**page, **extra)))

    assert ("INVALID_ARGUMENT", "INVALID_PAGE") == (error.code, error.reason)


async def test_no_searches_are_an_empty_page(served: Served) -> None:
    """Not an error."""
    response = await served.stub.ListSearches(pb.ListSearchesRequest())

    assert pb.ListSearchesResponse() == response


async def test_data_sets_are_listed_with_what_to_do(served: Served) -> None:
    """All of the catalogue by name; a data set that is not there says what helps."""
    datasets = (await served.stub.ListDatasets(pb.ListDatasetsRequest())).datasets

    assert sorted(CATALOGUE) == [dataset.name for dataset in datasets]
    assert all(dataset.is_available == (not dataset.hint) for dataset in datasets)
    assert {"digits"} == {dataset.name for dataset in datasets if dataset.is_available}


async def test_the_server_says_what_it_is(served: Served) -> None:
    """Version, API, executor and slots."""
    info = await served.stub.GetServerInfo(pb.GetServerInfoRequest())

    assert ("0.0.0", "nas.api.v1", "fake", 1) == (info.version, info.api, info.executor, info.worker_count)


class FailingJournal(MemoryJournal):
    """Refuses every append."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        raise self._failure


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (JournalFullError(Path("/secret/journal.db")), "RESOURCE_EXHAUSTED", "DISK_FULL"),
        (JournalFailedError(Path("/secret/journal.db"), "disk I/O error"), "UNAVAILABLE", "JOURNAL_FAILED"),
    ],
    ids=["full", "failed"],
)
async def test_a_disk_that_fails_is_told_without_its_path(
    tmp_path: Path, failure: Exception, code: str, reason: str
) -> None:
    """No room is for the operator to make; a failed disk is the end of the server, which is told, too."""
    plane = ControlPlane(folder=tmp_path, journal=FailingJournal(failure))
    async with serving(plane) as served:
        error = await refused(served.start())

    assert (code, reason) == (error.code, error.reason)
    assert "secret" not in error.message
    assert ([failure] if isinstance(failure, JournalFailedError) else []) == plane.fatal


async def test_a_start_while_shutting_down_is_to_be_tried_again(stuck: Served) -> None:
    """Searches that are known are still shown."""
    search_id = await stuck.start()
    await stuck.plane.registry.close()

    error = await refused(stuck.start(2))

    assert ("UNAVAILABLE", "SHUTTING_DOWN") == (error.code, error.reason)
    assert search_id == (await stuck.stub.GetSearch(pb.GetSearchRequest(search_id=search_id))).search.search_id
