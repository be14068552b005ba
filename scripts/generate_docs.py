# SPDX-License-Identifier: Apache-2.0
"""Draw ``docs/state-machine.md`` from the transition tables, or with ``--check`` prove that it is what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nas.search.transitions import CHILD_TRANSITIONS, EVALUATION_TRANSITIONS, SEARCH_TRANSITIONS, to_mermaid

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/state-machine.md"
TEXT = """\
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
It is recovered like a child: a lost attempt makes it due again.

```mermaid
{evaluation}
```
"""


def render() -> str:
    """Return the document."""
    return TEXT.format(
        search=to_mermaid(SEARCH_TRANSITIONS),
        child=to_mermaid(CHILD_TRANSITIONS),
        evaluation=to_mermaid(EVALUATION_TRANSITIONS),
    )


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description="Draw docs/state-machine.md from the transition tables.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the document differs")
    if not parser.parse_args().check:
        DOCUMENT.write_text(render())
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == render():
        return 0
    print("docs/state-machine.md is not what nas/search/transitions.py says; run: make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
