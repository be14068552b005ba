# SPDX-License-Identifier: Apache-2.0
"""A program that opens many watches, reads one message of each and then nothing more.

python idle_crowd.py ADDRESS SEARCH WATCHES        says `ready` once all have begun
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub

WATCHES_A_CONNECTION = 25


async def linger(address: str, search_id: str, watches: int) -> None:
    """Begin to watch, and stop reading."""
    calls = []
    for number in range(watches):
        if number % WATCHES_A_CONNECTION == 0:
            channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
            stub: Any = SearchServiceStub(channel)
        calls.append(stub.WatchSearch(pb.WatchSearchRequest(search_id=search_id)))
        await calls[-1].read()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(linger(sys.argv[1], sys.argv[2], int(sys.argv[3])))
