# SPDX-License-Identifier: Apache-2.0
"""Callers and what they may do: every method, roles, principals, quotas, tokens and certificates that change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from control_plane import FOREVER, ControlPlane
from exposition import scrape
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from guarded import READ_TOKEN, WRITE_TOKEN, Keyring, bearer, calling, guarded, line, make_front
from real_server import RealServer, wait_for
from served import explain, refused, start_request

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from nas.search import events
from server.config import Settings
from server.executor.fake import FakeExecutor
from server.rpc.access import RULES
from server.rpc.servicer import SERVICE

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
SERVICES = {service.full_name: service for service in (SERVICE, HEALTH, REFLECTION)}
METHODS: list[MethodDescriptor] = [method for service in SERVICES.values() for method in service.methods]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Certificates and tokens for all tests."""
    return Keyring(tmp_path_factory.mktemp("keys"))


@asynccontextmanager
async def _stub(folder: Path, keys: Keyring, **settings: Any) -> AsyncIterator[tuple[Any, ControlPlane, str]]:
    """A stub without credentials, with a search that does not get on."""
    plane = ControlPlane(folder=folder, executor=FakeExecutor(slots=1, epoch_seconds=FOREVER))
    async with guarded(plane, keys.settings(listen="127.0.0.1:0", **settings)) as address, calling(address, None) as ch:
        yield SearchServiceStub(ch), plane, address


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def test_every_method_has_a_rule() -> None:
    """One that is added to a service has to be added to the rules, and none is left over."""
    assert {_path(method) for method in METHODS} == set(RULES)


async def test_these_are_all_services(tmp_path: Path, keys: Keyring) -> None:
    """What the server says of itself is what the tests go through."""
    async with _stub(tmp_path, keys) as (_, _, address), calling(address, None) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([request]), timeout=20)]

    assert set(SERVICES) == {service.name for service in answers[0].list_services_response.service}


@pytest.mark.parametrize("method", METHODS, ids=_path)
async def test_no_method_answers_a_stranger(tmp_path: Path, keys: Keyring, method: MethodDescriptor) -> None:
    """Without a token every method is UNAUTHENTICATED, before it reads a byte of the request."""
    async with _stub(tmp_path, keys, tokens=True) as (_, _, address), calling(address, None) as channel:
        opened: Any = channel
        for payload in (b"", b"\xff" * 100):
            # One message, whatever the method takes: a stream's refusal can be lost beside its write (grpc#36066).
            call = opened.unary_stream(_path(method))(payload, timeout=20)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert "UNAUTHENTICATED" == explain(caught.value).reason


CHANGING = ["StartSearch", "CancelSearch", "PauseSearch", "ResumeSearch", "DeleteSearch", "CheckDataset"]


@pytest.mark.parametrize("name", CHANGING)
async def test_a_reader_changes_nothing(tmp_path: Path, keys: Keyring, name: str) -> None:
    """The role read is refused where something is changed or files are named, with a sentence that names the caller."""
    async with _stub(tmp_path, keys, tokens=True) as (stub, _, _):
        error = await refused(
            getattr(stub, name)(getattr(pb, f"{name}Request")(), metadata=bearer(READ_TOKEN), timeout=20)
        )

    assert ("PERMISSION_DENIED", "NOT_PERMITTED") == (error.code, error.reason)
    assert error.message.startswith("grafana may only look")


async def test_a_method_without_a_rule_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: Keyring
) -> None:
    """Forgetting the rule of a new method locks it, even for a writer."""
    monkeypatch.delitem(RULES, f"/{SERVICE.full_name}/GetServerInfo")
    async with _stub(tmp_path, keys, tokens=True) as (stub, _, _):
        error = await refused(stub.GetServerInfo(pb.GetServerInfoRequest(), metadata=bearer(WRITE_TOKEN), timeout=20))

    assert "PERMISSION_DENIED" == error.code


async def test_events_name_who_asked(tmp_path: Path, keys: Keyring) -> None:
    """The token's name is the principal of everything that its holder has changed."""
    writer = bearer(WRITE_TOKEN)
    async with _stub(tmp_path, keys, tokens=True) as (stub, plane, _):
        started = await stub.StartSearch(start_request(), metadata=writer, timeout=60)
        search_id = started.search.search_id
        for name in ("PauseSearch", "ResumeSearch", "CancelSearch"):
            await getattr(stub, name)(getattr(pb, f"{name}Request")(search_id=search_id), metadata=writer, timeout=20)
        await plane.end(search_id)
        await stub.DeleteSearch(pb.DeleteSearchRequest(search_id=search_id), metadata=writer, timeout=20)
        facts = [envelope.fact for envelope in await plane.events(search_id)]

    asked = (
        events.SearchStarted,
        events.PauseRequested,
        events.SearchResumed,
        events.CancelRequested,
        events.SearchDeleted,
    )
    assert dict.fromkeys(asked, "ann") == {type(fact): fact.principal for fact in facts if isinstance(fact, asked)}


async def test_a_certificate_names_its_holder(tmp_path: Path, keys: Keyring) -> None:
    """Without tokens the principal is whom the certificate was made out to."""
    settings = keys.settings(listen="127.0.0.1:0", tls=True, client_ca=True)
    async with (
        guarded(ControlPlane(folder=tmp_path), settings) as address,
        calling(address, keys.trust(keys.ours.issue("ben"))) as channel,
    ):
        stub: Any = SearchServiceStub(channel)
        started = await stub.StartSearch(start_request(), timeout=60)

    assert "ben" == started.search.principal


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", f"Basic {WRITE_TOKEN}", WRITE_TOKEN, f"Bearer  {WRITE_TOKEN}", f"Bearer {WRITE_TOKEN}x"],
)
async def test_nearly_a_token_is_none(tmp_path: Path, keys: Keyring, value: str) -> None:
    """Only the scheme and the whole token will do; the answer repeats nothing of it."""
    async with _stub(tmp_path, keys, tokens=True) as (stub, _, _):
        call = stub.ListSearches(pb.ListSearchesRequest(), metadata=(("authorization", value),), timeout=20)
        error = await refused(call)

    assert "UNAUTHENTICATED" == error.code
    assert WRITE_TOKEN not in error.message


async def test_endless_metadata_are_refused(tmp_path: Path, keys: Keyring) -> None:
    """64 KiB of them never reach a handler, and the next call is answered."""
    async with _stub(tmp_path, keys) as (stub, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListSearches(pb.ListSearchesRequest(), metadata=(("x-note", "a" * (64 << 10)),), timeout=20)
        await stub.ListSearches(pb.ListSearchesRequest(), timeout=20)

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()


async def test_two_tokens_are_none(tmp_path: Path, keys: Keyring) -> None:
    """Nobody has to guess which one counts."""
    async with _stub(tmp_path, keys, tokens=True) as (stub, _, _):
        metadata = (*bearer(READ_TOKEN), *bearer(WRITE_TOKEN))
        error = await refused(stub.ListSearches(pb.ListSearchesRequest(), metadata=metadata, timeout=20))

    assert "UNAUTHENTICATED" == error.code


async def test_the_quota_of_streams_is_each_callers_own(tmp_path: Path, keys: Keyring) -> None:
    """One more watch than allowed is refused; somebody else's is not, and one that ended makes room."""
    async with _stub(tmp_path, keys, tokens=True, max_streams=2) as (stub, _, _):
        started = await stub.StartSearch(start_request(), metadata=bearer(WRITE_TOKEN), timeout=60)
        request = pb.WatchSearchRequest(search_id=started.search.search_id)
        watches = [stub.WatchSearch(request, metadata=bearer(READ_TOKEN)) for _ in range(2)]
        for watch in watches:
            await watch.read()

        error = await refused(stub.WatchSearch(request, metadata=bearer(READ_TOKEN), timeout=20).read())
        other = stub.WatchSearch(request, metadata=bearer(WRITE_TOKEN))
        await other.read()
        watches[0].cancel()
        async with asyncio.timeout(60):
            while True:
                again = stub.WatchSearch(request, metadata=bearer(READ_TOKEN))
                try:
                    await again.read()
                    break
                except grpc.aio.AioRpcError:
                    continue

    assert ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED") == (error.code, error.reason)


async def test_the_quota_of_starts_is_each_callers_own(tmp_path: Path, keys: Keyring) -> None:
    """The third start within a minute is refused where two are allowed, even one that only plans."""
    keys.tokens.write_text(keys.tokens.read_text() + line("cleo", "write", "canary-cleo"))
    async with _stub(tmp_path, keys, tokens=True, max_starts=2) as (stub, _, _):
        for number in (1, 2):
            await stub.StartSearch(start_request(number), metadata=bearer(WRITE_TOKEN), timeout=60)
        request = start_request(3)
        request.validate_only = True

        error = await refused(stub.StartSearch(request, metadata=bearer(WRITE_TOKEN), timeout=60))
        await stub.StartSearch(start_request(4), metadata=bearer("canary-cleo"), timeout=60)

    assert ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED") == (error.code, error.reason)


async def test_a_certificate_is_replaced_without_a_failed_call(tmp_path: Path) -> None:
    """Calls go on over old and new connections; half a replacement changes nothing."""
    keys = Keyring(tmp_path)
    settings = keys.settings(listen="127.0.0.1:0", tls=True)
    cert, key = keys.server
    served = set()
    async with (
        guarded(ControlPlane(folder=tmp_path), settings) as address,
        calling(address, keys.trust()) as steady,
    ):
        for name in ("server", "second", "third"):
            new_cert, new_key = keys.ours.issue(name) if name != "server" else (cert, key)
            os.replace(new_cert, cert)
            async with calling(address, keys.trust()) as channel:  # the new certificate with the old key
                half: Any = SearchServiceStub(channel)
                await half.ListSearches(pb.ListSearchesRequest(), timeout=20)
            os.replace(new_key, key)
            async with calling(address, keys.trust()) as channel:
                for opened in (channel, steady):
                    stub: Any = SearchServiceStub(opened)
                    await stub.ListSearches(pb.ListSearchesRequest(), timeout=20)
            served.add(await asyncio.to_thread(_served_name, address, keys))

    assert {"server", "second", "third"} == served


def _served_name(address: str, keys: Keyring) -> str:
    """Whom the certificate that a new connection gets was made out to."""
    context = ssl.create_default_context(cafile=str(keys.ours.path))
    context.set_alpn_protocols(["h2"])
    host, port = address.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        found: Any = secured.getpeercert()
    return str(dict(pair for entry in found["subject"] for pair in entry)["commonName"])


async def test_a_token_is_revoked_while_the_server_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that is gone lets nobody in; a file that cannot be used changes nothing."""
    monkeypatch.setattr("server.tokens._LOOK_SECONDS", 0.0)
    keys = Keyring(tmp_path)
    request = pb.ListSearchesRequest()
    async with _stub(tmp_path, keys, tokens=True) as (stub, _, _):
        await stub.ListSearches(request, metadata=bearer(READ_TOKEN), timeout=20)
        keys.tokens.write_text("what is this")
        await stub.ListSearches(request, metadata=bearer(READ_TOKEN), timeout=20)
        keys.tokens.write_text(line("ann", "write", WRITE_TOKEN))
        error = await refused(stub.ListSearches(request, metadata=bearer(READ_TOKEN), timeout=20))
        await stub.ListSearches(request, metadata=bearer(WRITE_TOKEN), timeout=20)

    assert "UNAUTHENTICATED" == error.code


async def test_the_open_network_is_not_told_what_there_is(tmp_path: Path, keys: Keyring) -> None:
    """Reflection is for this machine only."""
    settings = keys.settings(listen="0.0.0.0:0", insecure=True)
    async with guarded(ControlPlane(folder=tmp_path), settings) as address, calling(address, None) as channel:
        opened: Any = channel
        # One message, though the method takes a stream: the refusal of one can be lost beside its write (grpc#36066).
        call = opened.unary_stream(_path(REFLECTION.methods_by_name["ServerReflectionInfo"]))(b"", timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


async def test_an_open_door_is_complained_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, keys: Keyring
) -> None:
    """Again and again, as long as it is open; a closed one is not mentioned."""
    monkeypatch.setattr("server.front._WARNING_SECONDS", 0.01)
    warnings = 0
    async with _opened(ControlPlane(folder=tmp_path), keys.settings(listen="0.0.0.0:0", insecure=True)):
        async with asyncio.timeout(60):
            while warnings < 3:
                await asyncio.sleep(0.01)
                warnings += _warnings(capsys)
    _warnings(capsys)
    async with _opened(ControlPlane(folder=tmp_path), keys.settings(listen="127.0.0.1:0")):
        await asyncio.sleep(0.1)  # ten times what a warning of the open one took
    assert 0 == _warnings(capsys)


@asynccontextmanager
async def _opened(plane: ControlPlane, settings: Settings) -> AsyncIterator[None]:
    """Open a front door as ``settings`` say and close it."""
    front = make_front(plane, settings)
    await front.reserve()
    await front.open()
    try:
        yield
    finally:
        await front.close()
        await front.leave()


def _warnings(capsys: pytest.CaptureFixture[str]) -> int:
    """Count the warnings since the last call."""
    captured = capsys.readouterr()
    return (captured.out + captured.err).count("others can use this server")


def test_nothing_that_is_secret_is_written_down(tmp_path: Path) -> None:
    """Neither a token nor the name of a patient's file stands in the log, the journal or the metrics afterwards."""
    keys = Keyring(tmp_path)
    patient = "DOE^JANE-1961-03-04"
    data = tmp_path / "data"
    (data / "breasts" / "1").mkdir(parents=True)
    (data / "breasts" / "1" / f"{patient}.png").write_bytes(b"no image at all")
    (data / "breasts" / "2").mkdir()
    (data / "breasts" / "2" / f"{patient}-b.png").write_bytes(b"no image either")
    options = ("--executor", "fake", "--token-file", str(keys.tokens), "--data-root", str(data))
    with RealServer(
        tmp_path, options, {"NAS_FAKE_EPOCH_SECONDS": "0"}, metrics=("--metrics-listen", "127.0.0.1:0")
    ) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = SearchServiceStub(channel)
            for metadata in (bearer(WRITE_TOKEN), bearer("canary-wrong"), bearer(READ_TOKEN)):
                for request in (start_request(1), start_request(2, dataset="folder:breasts")):
                    with contextlib.suppress(grpc.RpcError):
                        stub.StartSearch(request, metadata=tuple(metadata), timeout=60)
        wait_for(lambda: "search_succeeded" in server.log, "the end of the search")
        places = next(json.loads(said) for said in server.log.splitlines() if "server_serving" in said)
        page = str(scrape(places["metrics"]))
        server.stop()
    written = [
        path.read_bytes() for path in server.state_dir.rglob("*") if path.is_file() and "cache" not in path.parts
    ]

    assert written
    for secret in ("canary", patient):
        assert secret not in server.log
        assert secret not in page
        assert not any(secret.encode() in content for content in written)
