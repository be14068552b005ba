# SPDX-License-Identifier: Apache-2.0
"""The log of a real server: JSON alone, one wide line a call, and who changed what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
from guarded import WRITE_TOKEN, Keyring
from real_server import RealServer, wait_for

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub

SMALL = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "1", "--seed", "5")


def test_every_call_has_one_wide_line(tmp_path: Path) -> None:
    """With method, status, time, caller, address and search; changes have an audit line besides, refused ones too."""
    keys = Keyring(tmp_path)
    (tmp_path / "writer").write_text(WRITE_TOKEN)
    options = ("--executor", "fake", "--token-file", str(keys.tokens), "--log-format", "json")
    with RealServer(tmp_path, options, {"NAS_FAKE_EPOCH_SECONDS": "0"}) as server:
        token = ("--token-file", str(tmp_path / "writer"))
        started = server.client(*token, "--output", "jsonl", "start", *SMALL)
        search_id = json.loads(started.stdout.splitlines()[0])["search_id"]
        refused = server.client("cancel", search_id)
        server.stop()

    records: list[dict[str, Any]] = [json.loads(said) for said in server.log.splitlines()]
    calls = {record["method"]: record for record in records if record["event"] == "rpc"}
    audits = [record for record in records if record["event"] == "audit"]
    assert (0, 6) == (started.returncode, refused.returncode)
    for method in ("StartSearch", "WatchSearch"):
        assert ("ann", search_id) == tuple(calls[method][name] for name in ("principal", "search_id"))
        assert calls[method]["peer"].startswith("ipv4:127.0.0.1:")
        assert calls[method]["seconds"] >= 0
    assert "OK" == calls["StartSearch"]["code"]
    assert calls["WatchSearch"]["code"] in ("OK", "CANCELLED")  # who has heard the last event may leave first
    assert calls["WatchSearch"]["messages"] == len(started.stdout.splitlines())
    assert [("StartSearch", "OK", "ann"), ("CancelSearch", "UNAUTHENTICATED", None)] == [
        (record["method"], record["code"], record.get("principal")) for record in audits
    ]
    assert audits[0]["search_id"] == search_id
    assert WRITE_TOKEN not in server.log


def test_a_watch_whose_client_has_left_is_cancelled(tmp_path: Path) -> None:
    """While it waited for an event; nobody is told, and nothing is said of a shutdown."""
    options = ("--executor", "fake", "--log-format", "json")
    with RealServer(tmp_path, options, {"NAS_FAKE_EPOCH_SECONDS": "3600"}) as server:
        stub = SearchServiceStub(grpc.insecure_channel(server.address))
        search_id = server.client("start", *SMALL, "--detach").stdout.strip()
        watch = stub.WatchSearch(pb.WatchSearchRequest(search_id=search_id))
        while next(watch).event.WhichOneof("fact") != "attempt_started":
            pass
        watch.cancel()
        wait_for(lambda: "WatchSearch" in server.log, "the line of the watch")

    (line,) = (said for said in map(json.loads, server.log.splitlines()) if said.get("method") == "WatchSearch")
    assert ("CANCELLED", "CLIENT_GONE") == (line["code"], line["reason"])
