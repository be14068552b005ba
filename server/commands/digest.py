# SPDX-License-Identifier: Apache-2.0
"""nas-server digest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from nas.search.digest import digest as compute_digest
from nas.search.evolve import evolve
from nas.search.state import Search
from server.codec.envelope import decode
from server.commands.exits import Exit, exit_codes, leave
from server.config import DEFAULT_STATE_DIR, Settings
from server.journal.sqlite import SqliteJournal

_CHUNK = 1000


@click.command()
@click.option("--state-dir", type=Path, help=f"The stopped server's folder. [default: {DEFAULT_STATE_DIR}]")
@click.argument("search_id", metavar="SEARCH")
def digest(state_dir: Path | None, search_id: str) -> None:
    """Print the SHA-256 of what a search found; the server must be stopped.

    Equal digests mean equal children, measurements, selections and weights. While a server runs,
    'nas-client get SEARCH' shows the same value.

    \b
    Examples:
      nas-server digest --state-dir /var/lib/nas 0123456789ab
      nas-server digest 0123456789ab
    """
    with exit_codes():
        folder = state_dir or Settings().state_dir
        search = asyncio.run(_replay(folder, search_id))
        if search is None:
            leave(Exit.DATA, f"there is no search {search_id} in {folder}")
        click.echo(compute_digest(search))


async def _replay(state_dir: Path, search_id: str) -> Search | None:
    journal = await SqliteJournal.inspect(state_dir)
    try:
        search: Search | None = None
        after = 0
        while records := await journal.read(search_id, after, _CHUNK):
            for record in records:
                search = evolve(search, decode(record.payload).fact)
            after = records[-1].sequence
        return search
    finally:
        await journal.close()
