# SPDX-License-Identifier: Apache-2.0
"""nas-server doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from server.codec.lines import one_line
from server.commands.diagnosis import CHECKS, LOCK, Diagnosis, SearchRecord, diagnose
from server.commands.exits import Exit, exit_codes
from server.commands.salvage import Salvage, salvage
from server.config import DEFAULT_STATE_DIR, Settings
from server.files import StateFiles
from server.journal.survey import Survey, survey


@click.command()
@click.option("--state-dir", type=Path, help=f"The stopped server's folder. [default: {DEFAULT_STATE_DIR}]")
@click.option("--salvage", "target", metavar="TARGET_DIR", type=Path, help="Copy what is good into this new folder.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print.")
def doctor(state_dir: Path | None, target: Path | None, output: str) -> None:
    """Check the folder of a stopped server and say what is wrong and what to do; nothing in it is changed.

    Looks at the lock, the journal, every event and the weights that the journal names. Ends with 0 if all is well, 74
    if anything is damaged, 73 if a server has the folder open, 65 if there is no journal.

    \b
    Examples:
      nas-server doctor --state-dir /var/lib/nas
      nas-server doctor --state-dir /var/lib/nas --salvage /var/lib/nas-salvaged
    """
    with exit_codes():
        folder = (state_dir.expanduser() if state_dir else Settings().state_dir).absolute()
        target = target and _require_new(target.expanduser().absolute(), folder)
        with survey(folder) as found:
            diagnosis = diagnose(found, StateFiles(folder))
            copied = salvage(found, diagnosis, folder, target) if target else None
        if output == "json":
            click.echo(json.dumps(_document(folder, found, diagnosis, copied), indent=2))
        else:
            for line in _lines(folder, found, diagnosis, copied):
                click.echo(one_line(line, len(line)))  # a search id may hold control characters
        if diagnosis.findings:
            raise SystemExit(Exit.DAMAGED)


def _require_new(target: Path, folder: Path) -> Path:
    hint = "--salvage"
    if target.exists() or target.is_symlink():
        raise click.BadParameter(f"{target} exists already; name a folder that does not.", param_hint=hint)
    if target.resolve().is_relative_to(folder.resolve()):
        raise click.BadParameter(f"{target} lies in the folder that is examined; name one outside.", param_hint=hint)
    return target


def _result(check: str, found: Survey, diagnosis: Diagnosis) -> str:
    if any(finding.check == check for finding in diagnosis.findings):
        return "damaged"
    return "ok" if found.version is not None or check == LOCK else "skipped"


def _document(folder: Path, found: Survey, diagnosis: Diagnosis, copied: Salvage | None) -> dict[str, Any]:
    return {
        "state_dir": str(folder),
        "is_healthy": not diagnosis.findings,
        "schema_version": found.version,
        "acknowledged_records": found.acknowledged,
        "total_records": found.total,
        "unattributed_records": found.unattributed,
        "checks": [{"check": str(check), "result": _result(check, found, diagnosis)} for check in CHECKS],
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "searches": [
            {
                "search_id": search.search_id,
                "state": _state(search),
                "good_events": search.good,
                "known_events": search.known,
            }
            for search in diagnosis.searches
        ],
        "salvage": copied and copied.document(),
    }


def _lines(folder: Path, found: Survey, diagnosis: Diagnosis, copied: Salvage | None) -> list[str]:
    lines = [f"{folder} is {'damaged' if diagnosis.findings else 'healthy'}"]
    for check, about in CHECKS.items():
        problems = [f"{each.problem}: {each.remedy}" for each in diagnosis.findings if each.check == check]
        result = _result(check, found, diagnosis)
        lines += [f"  {result:<8} {check:<16} {text}" for text in problems or [about]]
    for search in diagnosis.searches:
        lines.append(f"search {search.search_id}: {_state(search)}, {_events(search)}")
    return lines + (_salvage_lines(copied) if copied else [])


def _state(search: SearchRecord) -> str:
    return search.search.state.name if search.search else "UNKNOWN"


def _events(search: SearchRecord) -> str:
    if search.good == search.known:
        return f"{search.known} events"
    return f"events 1 to {search.good} of {search.known} are good" if search.good else "no event is good"


def _salvage_lines(copied: Salvage) -> list[str]:
    if copied.target is None:
        return ["nothing is good, so nothing was copied: restore the folder from a backup"]
    lines = [f"copied {copied.records} events and {copied.files} files to {copied.target}"]
    lines += [f"  left out: {_left_out(part)}" for part in copied.left_out]
    if copied.unattributed:
        lines.append(f"  left out: {copied.unattributed} records that are gone without a trace of their search")
    lines += [f"  left out: {path}, which is damaged" for path in copied.left_files]
    lines += [f"  not there: {path}, perhaps dropped by an event that is gone" for path in copied.absent_weights]
    return [*lines, f"go on with: nas-server serve --state-dir {copied.target}"]


def _left_out(search: SearchRecord) -> str:
    if not search.kept:
        return f"search {search.search_id} as a whole"
    first, last = search.kept + 1, search.known
    events = f"event {first}" if first == last else f"events {first} to {last}"
    return f"{events} of search {search.search_id}; it goes on from event {search.kept}"
