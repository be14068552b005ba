# SPDX-License-Identifier: Apache-2.0
"""``ablate``: winner and smallest of a search, each with and without the attention of its block."""

from __future__ import annotations

import click

from client.ablation import Row, ablation_document, ablation_table, variant_retraining, variants
from client.commands.watch import reconnect_option
from client.completion import search_argument
from client.connection import connect
from client.output import note, write, write_document
from client.retraining import find_nets, get_search, require_same_data, retrain
from client.settings import Output, Settings, output_option

_EPILOG = """\b
Examples:
  nas-client ablate 3f2a9c01b7de
  nas-client ablate 3f2a9c01b7de --output json
"""

_HONEST = "The test part was read once for each line, after the search had ended. Intervals hold with 95 % confidence."


@click.command("ablate", epilog=_EPILOG)
@search_argument
@reconnect_option
@output_option
@click.pass_obj
def command(settings: Settings, search: str, reconnect: float) -> None:
    """Train winner and smallest of a search again, each with and without SE.

    SE: squeeze and excitation. Of a search around another block with attention, that block is compared with plain
    Inception in the same way. Each is trained once by a search of its own, under the same settings, seed and division,
    and then measured on the test part: read once for each of them, after the search that found them had ended. Do not
    choose by it. Asking again, also after Ctrl-C, starts nothing twice.
    """
    with connect(settings) as connection:
        found = get_search(connection, search)
        wanted = list(variants(found, find_nets(connection, found)))
        retrainings = [variant_retraining(found, variant) for variant in wanted]
        require_same_data(connection, found, retrainings[0], same_division=True)
        trained = retrain(connection, retrainings, reconnect_seconds=reconnect)
        rows = [Row(variant=variant, search=one) for variant, one in zip(wanted, trained, strict=True)]
    if settings.output is Output.TEXT:
        write(ablation_table(rows))
        note(_HONEST)
    else:
        write_document(ablation_document(found, rows), is_compact=settings.output is Output.JSONL)
