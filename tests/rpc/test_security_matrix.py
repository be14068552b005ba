# SPDX-License-Identifier: Apache-2.0
"""Who gets in: every way to listen with every kind of caller. ``NAS_REWRITE_DOCS=1`` writes the table to the docs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from control_plane import ControlPlane
from guarded import READ_TOKEN, WRITE_TOKEN, WRONG_TOKEN, Keyring, bearer, calling, guarded
from pydantic import ValidationError
from served import start_request

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from server.app import App
from server.config import Settings

PAGE = Path(__file__).parents[2] / "docs/security.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
OPEN_TO_ALL = "0.0.0.0:0"
LOOPBACK = "127.0.0.1:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to listen."""

    listen: str = LOOPBACK
    tls: bool = False
    client_ca: bool = False
    tokens: bool = False
    insecure: bool = False

    def settings(self, keys: Keyring) -> Settings:
        """As settings."""
        return keys.settings(
            listen=self.listen, tls=self.tls, client_ca=self.client_ca, tokens=self.tokens, insecure=self.insecure
        )

    def words(self) -> str:
        """As options."""
        options = ("--tls-cert --tls-key", self.tls), ("--tls-client-ca", self.client_ca), ("--token-file", self.tokens)
        given = [name for name, is_given in (*options, ("--insecure", self.insecure)) if is_given]
        place = "loopback" if self.listen == LOOPBACK else "any address"
        return f"{place} | {' '.join(f'`{name}`' for name in given) or 'nothing'}"


REFUSED = (
    Way(listen=OPEN_TO_ALL),
    Way(listen=OPEN_TO_ALL, tokens=True),
    Way(listen=OPEN_TO_ALL, tls=True),
)
"""Ways that the server does not start in."""

PLAIN, TLS, CERTIFIED, STRANGER, EXPIRED = "plaintext", "TLS", "TLS, own certificate", "TLS, stranger's", "TLS, expired"
NOBODY, WRONG, READER, WRITER = "none", "wrong", "read", "write"
IN, LOOK, NO_TOKEN, NO_WAY = ("OK", "OK"), ("OK", "PERMISSION_DENIED"), ("UNAUTHENTICATED",) * 2, ("UNAVAILABLE",) * 2

MATRIX: dict[tuple[Way, str, str], tuple[str, str]] = {
    (Way(), PLAIN, NOBODY): IN,
    (Way(), TLS, NOBODY): NO_WAY,
    (Way(tokens=True), PLAIN, NOBODY): NO_TOKEN,
    (Way(tokens=True), PLAIN, WRONG): NO_TOKEN,
    (Way(tokens=True), PLAIN, READER): LOOK,
    (Way(tokens=True), PLAIN, WRITER): IN,
    (Way(tls=True), PLAIN, NOBODY): NO_WAY,
    (Way(tls=True), TLS, NOBODY): IN,
    (Way(listen=OPEN_TO_ALL, tls=True, tokens=True), PLAIN, WRITER): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, tokens=True), TLS, NOBODY): NO_TOKEN,
    (Way(listen=OPEN_TO_ALL, tls=True, tokens=True), TLS, WRONG): NO_TOKEN,
    (Way(listen=OPEN_TO_ALL, tls=True, tokens=True), TLS, READER): LOOK,
    (Way(listen=OPEN_TO_ALL, tls=True, tokens=True), TLS, WRITER): IN,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True), PLAIN, NOBODY): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True), TLS, NOBODY): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True), STRANGER, NOBODY): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True), EXPIRED, NOBODY): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True), CERTIFIED, NOBODY): IN,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True, tokens=True), TLS, WRITER): NO_WAY,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True, tokens=True), CERTIFIED, NOBODY): NO_TOKEN,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True, tokens=True), CERTIFIED, READER): LOOK,
    (Way(listen=OPEN_TO_ALL, tls=True, client_ca=True, tokens=True), CERTIFIED, WRITER): IN,
    (Way(listen=OPEN_TO_ALL, insecure=True), PLAIN, NOBODY): IN,
    (Way(listen=OPEN_TO_ALL, tokens=True, insecure=True), PLAIN, NOBODY): NO_TOKEN,
    (Way(listen=OPEN_TO_ALL, tokens=True, insecure=True), PLAIN, WRITER): IN,
}
"""Status of a call that looks and of one that changes something, by the way to listen, the channel and the token."""

TOKENS = {NOBODY: None, WRONG: WRONG_TOKEN, READER: READ_TOKEN, WRITER: WRITE_TOKEN}
WAYS = list(dict.fromkeys(way for way, _, _ in MATRIX))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Certificates and tokens for all cases."""
    return Keyring(tmp_path_factory.mktemp("keys"))


def _credentials(keys: Keyring, channel: str) -> grpc.ChannelCredentials | None:
    match channel:
        case "plaintext":
            return None
        case "TLS":
            return keys.trust()
        case "TLS, own certificate":
            return keys.trust(keys.ours.issue("ben"))
        case "TLS, expired":
            return keys.trust(keys.ours.issue("old", days=-1))
        case _:
            return keys.trust(keys.others.issue("eve"))


async def _status(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def _try(address: str, keys: Keyring, channel: str, token: str) -> tuple[str, str]:
    async with calling(address, _credentials(keys, channel)) as opened:
        stub: Any = SearchServiceStub(opened)
        metadata = bearer(TOKENS[token])
        look = stub.ListSearches(pb.ListSearchesRequest(), metadata=metadata, timeout=20)
        change = stub.StartSearch(start_request(), metadata=metadata, timeout=20)
        return await _status(look), await _status(change)


@pytest.mark.parametrize("way", WAYS, ids=Way.words)
async def test_who_gets_in(tmp_path: Path, keys: Keyring, way: Way) -> None:
    """Each caller gets the two statuses of the table."""
    expected = {(channel, token): statuses for (each, channel, token), statuses in MATRIX.items() if each == way}

    async with guarded(ControlPlane(folder=tmp_path), way.settings(keys)) as address:
        actual = {case: await _try(address, keys, *case) for case in expected}

    assert expected == actual


@pytest.mark.parametrize("way", REFUSED, ids=Way.words)
def test_an_open_door_has_to_be_asked_for(keys: Keyring, way: Way) -> None:
    """The sentence names everything that would do."""
    with pytest.raises(ValidationError) as caught:
        App(way.settings(keys))

    assert all(word in str(caught.value) for word in ("--tls-cert", "--token-file", "--tls-client-ca", "--insecure"))


def test_the_page_shows_the_table() -> None:
    """docs/security.md has what these tests have proved."""
    text = PAGE.read_text()
    if os.environ.get("NAS_REWRITE_DOCS"):
        text = text.partition(BEGIN)[0] + BEGIN + _table() + END + text.partition(END)[2]
        PAGE.write_text(text)

    assert len(MATRIX) >= 12
    assert BEGIN + _table() + END in text


def _table() -> str:
    lines = [
        "| listens on | given | caller's channel | token | looks | changes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {way.words()} |  |  | does not start: 78 | |" for way in REFUSED]
    lines += [
        f"| {way.words()} | {channel} | {token} | {look} | {change} |"
        for (way, channel, token), (look, change) in MATRIX.items()
    ]
    return "\n".join(lines) + "\n"
