# SPDX-License-Identifier: Apache-2.0
"""Write the documents that the code dictates, or with ``--check`` prove that they are what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import command_reference
import metrics_page

from nas.search.transitions import CHILD_TRANSITIONS, EVALUATION_TRANSITIONS, SEARCH_TRANSITIONS, to_mermaid

DOCS = Path(__file__).resolve().parent.parent / "docs"
STATE_MACHINE = """\
# State machine

Drawn by `make docs` from `nas/search/transitions.py`; do not edit. An arrow is an event of the journal; `evolve` looks
every change of state up in the same tables. What follows from a command is decided in `nas/search/machine.py`.

## A search
```mermaid
{search}
```

## A child
A lost attempt puts its child back to PROPOSED, from where the next attempt starts.

```mermaid
{child}
```

## The evaluation of the winner on the test part
It is recovered like a child: a lost attempt makes it due again. It becomes due when the search stops, or with `finish`
when the nets that the search ends with have been trained once more; they are children like all others.

```mermaid
{evaluation}
```
"""


def draw_state_machine() -> str:
    """Draw the transition tables."""
    return STATE_MACHINE.format(
        search=to_mermaid(SEARCH_TRANSITIONS),
        child=to_mermaid(CHILD_TRANSITIONS),
        evaluation=to_mermaid(EVALUATION_TRANSITIONS),
    )


DOCUMENTS: dict[str, Callable[[], str]] = {
    "cli.md": command_reference.render,
    "metrics.md": metrics_page.render,
    "state-machine.md": draw_state_machine,
}
"""What every generated document says, by its name below docs/."""


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description="Write the documents that the code dictates.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a document differs")
    is_check = parser.parse_args().check
    status = 0
    for name, render in DOCUMENTS.items():
        path = DOCS / name
        if not is_check:
            path.write_text(render())
        elif not path.exists() or path.read_text() != render():
            print(f"docs/{name} is not what the code says; run: make docs", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
